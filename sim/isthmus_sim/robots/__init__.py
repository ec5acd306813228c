"""Robots: parameters with their sources, specification, MJCF."""
