"""A dataset's images: as arrays, in video files and in rows; with loss, without, or as depths."""
