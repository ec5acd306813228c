"""The fault campaign: what is done to a running robot and its policy node, and whether that ends safe."""

import sys
from pathlib import Path

# The processes, the operator and the hand-made policies of the ROS tests.
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
