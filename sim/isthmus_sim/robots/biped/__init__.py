"""The biped: its links, its description and its model."""
