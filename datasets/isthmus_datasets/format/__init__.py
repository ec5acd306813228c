"""LeRobot's dataset format v3.0 on disk, with the code that reads and writes it."""
