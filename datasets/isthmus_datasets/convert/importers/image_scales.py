"""Images as other formats keep them: bytes, or floats from 0 to 255 or from 0 to 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.features import Feature

ROUNDING = 1e-3
"""How far from a whole number a float can be and still be taken for one."""


def is_images(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether an array (N, H, W, 3) holds images."""
    return len(shape) == 4 and shape[3] == 3 and (dtype == np.uint8 or dtype.kind == "f")


def image_feature(shape: tuple[int, ...]) -> Feature:
    """The video that an array of `shape` (N, H, W, 3) becomes."""
    return Feature(dtype="video", shape=shape[1:])


def image_scale(first: NDArray[Any]) -> int:
    """255 where the floats of a dataset's first image(s) go from 0 to 1, else 1."""
    return 255 if first.dtype.kind == "f" and first.size and first.max() <= 1 else 1


def to_uint8(values: NDArray[Any], scale: int = 1) -> tuple[NDArray[np.uint8], float]:
    """Images (T, H, W, 3) as bytes, and the largest rounding error in grey levels.

    Raises:
        ValueError: a value is not a number, or outside 0 … 255 after multiplication by `scale`.
    """
    if values.dtype == np.uint8:
        return values, 0.0
    levels = values * np.float32(scale)
    if not (levels.min() >= 0 and levels.max() <= 255):  # false for NaN as well
        raise ValueError(f"grey levels from {levels.min():g} to {levels.max():g} do not fit into 0 … 255")
    whole = np.rint(levels)
    return whole.astype(np.uint8), float(np.abs(levels - whole).max())
