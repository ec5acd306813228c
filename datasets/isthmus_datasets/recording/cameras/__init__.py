"""Images from devices, ROS 2 topics and simulators, all read alike."""
