"""Demonstrations that others recorded, in their formats, as episodes."""
