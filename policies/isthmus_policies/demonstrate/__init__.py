"""Simulated and ROS 2 robots as sources of demonstrations, and the scripts that demonstrate."""
