"""The error of everything that reads a user's files about a robot."""

from __future__ import annotations


class ModelError(ValueError):
    """A model or robot file cannot be used; the message names what is wrong with it and how to put it right."""
