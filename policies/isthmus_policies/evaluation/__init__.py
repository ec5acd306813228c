"""How well a policy does, in numbers and on video."""
