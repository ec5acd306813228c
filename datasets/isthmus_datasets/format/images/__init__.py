"""A dataset's images: as arrays and in video files; with loss, without, or as depths."""
