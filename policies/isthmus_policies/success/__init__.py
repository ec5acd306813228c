"""Whether a task is done, seen by a camera: a reward for robots that cannot tell."""
