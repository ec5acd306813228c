"""A user's own robot model, MJCF or URDF: read, mended where that is safe, refused by name where it is not."""
