"""Rotations by quaternions wxyz (unit, Hamilton), of which the robot side needs two operations."""

from __future__ import annotations

import numpy as np


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`a` after `b`: (4,) and (4,) → (4,)."""
    product = np.empty(4)
    product[0] = a[0] * b[0] - a[1:] @ b[1:]
    product[1:] = a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])
    return product


def rotate(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """A vector (3,) turned by a quaternion (4,)."""
    twice = 2.0 * np.cross(quaternion[1:], vector)
    return vector + quaternion[0] * twice + np.cross(quaternion[1:], twice)
