"""Images into a file of frames, (n, 3, H, W) uint8, at their place."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.images.pixels import Pixels

_BLOCK = 2**20  # bytes that are written at a time: writing frame by frame makes threads wait for the interpreter


def write_frames(images: Iterator[Pixels], size: tuple[int, int], file: int, first: int) -> None:
    """Write images (H, W, 3) uint8 of `size` (H, W) to an open file, the first one to the place of frame `first`.

    Raises:
        OSError: not all could be written.
    """
    block = np.empty((max(1, _BLOCK // (3 * size[0] * size[1])), 3, *size), np.uint8)
    place = first * block[0].nbytes
    while count := _take(images, block):
        place += _written(file, block[:count], place)


def _take(images: Iterator[Pixels], block: NDArray[np.uint8]) -> int:
    """Put the next images, (H, W, 3), into a block of (n, 3, H, W); how many there were."""
    count = 0
    for image in islice(images, len(block)):
        cv2.split(image, list(block[count]))
        count += 1
    return count


def _written(file: int, frames: NDArray[np.uint8], place: int) -> int:
    """Bytes that were written, which are all."""
    written = os.pwrite(file, frames.data, place)
    if written != frames.nbytes:
        raise OSError(errno.EIO, f"{written} of {frames.nbytes} bytes were written")
    return written
