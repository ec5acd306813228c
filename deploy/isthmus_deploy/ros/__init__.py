"""The policy on a ROS 2 robot: the node, a stand-in robot for want of hardware, and an operator's missions.

The command modules (`policy_node`, `stand_in_robot`, `flight`, `walk`, `bench_echo`) import without ROS 2, so that
`--help` works everywhere; they load rclpy when they run, and say what to install when it is missing.
"""
