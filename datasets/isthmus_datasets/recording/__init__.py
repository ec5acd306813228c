"""A robot, an operator and a dataset at a fixed rate: everything between the sensors and the saved episode."""
