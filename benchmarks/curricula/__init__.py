"""Worlds of `make bench-resets` that nobody trains for their own sake."""
