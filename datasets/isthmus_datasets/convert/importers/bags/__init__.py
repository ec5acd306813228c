"""ROS 2 bags as episodes: their files, what was said on topics, where episodes begin, and the grid of each."""
