"""What callers that name a model apart from its robot still import; a user's model is read by `isthmus_sim.models`."""

OWN = "own"
"""Stands for the model that a robot comes with."""
