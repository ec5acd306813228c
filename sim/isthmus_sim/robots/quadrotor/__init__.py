"""The quadrotor: its description and its model."""
