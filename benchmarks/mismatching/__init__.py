"""Robots that are flown in one process, and what can be wrong between them and the trained world. What they are driven
by is the tests' own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
