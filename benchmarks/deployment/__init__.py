"""A stand-in robot and the node that drives it, timed beside what this machine can do at best."""

import sys
from pathlib import Path

# The hand-made policy of the ROS tests.
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
