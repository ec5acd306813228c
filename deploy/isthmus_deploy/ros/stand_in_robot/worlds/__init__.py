"""The bodies, drives and sensors of stand-in robots, in MuJoCo; no ROS here."""
