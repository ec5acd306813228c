"""The policy node: one policy that drives one robot."""
