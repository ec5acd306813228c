"""A two-joint arm in the horizontal plane, and the task of bringing its joints to where they are asked to be."""
