"""Where a camera is and how it sees, from pictures of a ChArUco board; and a simulated camera that is the same.

Poses are of one frame in another. A camera's frame is OpenCV's: z where it looks, x to the right of the picture, y
down. The board's is on its upper left corner: x along its first row, y down its first column, z into it. Pixel (0, 0)
is the centre of the upper left one.
"""
