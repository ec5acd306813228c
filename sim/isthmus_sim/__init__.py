"""Worlds: engines, robots, signals and tasks."""
