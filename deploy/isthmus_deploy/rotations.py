"""Rotations by quaternions wxyz (unit, Hamilton), of which the robot side needs little."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`a` after `b`: (4,) and (4,) → (4,)."""
    product = np.empty(4)
    product[0] = a[0] * b[0] - a[1:] @ b[1:]
    product[1:] = a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])
    return product


def rotate(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """A vector (3,) turned by a quaternion (4,)."""
    return np.array(rotated(quaternion.tolist(), vector.tolist()))


def rotated(quaternion: Sequence[float], vector: Sequence[float]) -> tuple[float, float, float]:
    """As `rotate`, in plain numbers: several times as fast."""
    w, x, y, z = quaternion
    a, b, c = vector
    u, v, t = 2.0 * (y * c - z * b), 2.0 * (z * a - x * c), 2.0 * (x * b - y * a)
    return a + w * u + y * t - z * v, b + w * v + z * u - x * t, c + w * t + x * v - y * u
