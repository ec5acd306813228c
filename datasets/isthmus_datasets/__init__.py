"""Demonstrations: what is recorded, and how it is written."""
