"""ROS 2 topics and the messages on them, read without an executor."""
