"""Rotations in NumPy: quaternions wxyz, Hamilton, (..., 4)."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def cross(first: Array, second: Array) -> Array:
    """As `np.cross` of (..., 3), which takes twice as long."""
    (a, b, c), (x, y, z) = (np.moveaxis(vector, -1, 0) for vector in (first, second))
    return np.stack((b * z - c * y, c * x - a * z, a * y - b * x), axis=-1)


def rotate(orientation: Array, vector: Array) -> Array:
    """The vector (..., 3) of a body's frame in the world."""
    w, axis = orientation[..., :1], orientation[..., 1:]
    twice = 2 * cross(axis, vector)
    return vector + w * twice + cross(axis, twice)


def inverse(orientation: Array) -> Array:
    """The rotation back."""
    return orientation * np.array([1.0, -1.0, -1.0, -1.0], orientation.dtype)


def product(first: Array, second: Array) -> Array:
    """First `second`, then `first`."""
    (w, x, y, z), (a, b, c, d) = (np.moveaxis(each, -1, 0) for each in (first, second))
    parts = (
        w * a - x * b - y * c - z * d, w * b + x * a + y * d - z * c,
        w * c - x * d + y * a + z * b, w * d + x * c - y * b + z * a,
    )  # fmt: skip
    return np.stack(parts, axis=-1)


def from_x_axis(axis: Array) -> Array:
    """(4,): a rotation that turns x to `axis` (3,), of length 1."""
    if axis[0] < -1 + 1e-9:
        return np.array([0.0, 0.0, 0.0, 1.0])
    half = np.array([1.0 + axis[0], 0.0, -axis[2], axis[1]])
    return half / np.linalg.norm(half)


def matrix(orientation: Array) -> Array:
    """(..., 3, 3): world from body."""
    return np.swapaxes(rotate(orientation[..., None, :], np.eye(3)), -1, -2)


def inertia_in_body(inertia: Array, orientation: Array) -> Array:
    """(..., 3, 3) kg·m² along the body's axes, of principal moments (..., 3) and where their axes are (..., 4)."""
    axes = matrix(orientation)
    return (axes * inertia[..., None, :]) @ np.swapaxes(axes, -1, -2)
