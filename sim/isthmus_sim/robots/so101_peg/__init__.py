"""SO-101 with a force-torque sensor at its wrist and a peg in its jaws."""
