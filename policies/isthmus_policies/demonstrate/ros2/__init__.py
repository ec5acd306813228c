"""A robot behind ROS 2 topics: what it sees, and how commands reach it through the safety chain."""
