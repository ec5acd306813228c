"""The quadruped: its description and its model."""
