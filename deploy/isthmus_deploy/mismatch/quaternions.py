"""Many quaternions wxyz at once."""

from __future__ import annotations

import numpy as np

from isthmus_deploy.mismatch.motion import Array


def product(a: Array, b: Array) -> Array:
    """`a` after `b`, (n, 4) quaternions wxyz."""
    w = a[:, :1] * b[:, :1] - (a[:, 1:] * b[:, 1:]).sum(axis=1, keepdims=True)
    return np.hstack([w, a[:, :1] * b[:, 1:] + b[:, :1] * a[:, 1:] + np.cross(a[:, 1:], b[:, 1:])])


def in_world(orientation: Array, vectors: Array) -> Array:
    """(n, 3) turned by (n, 4)."""
    twice = 2.0 * np.cross(orientation[:, 1:], vectors)
    return vectors + orientation[:, :1] * twice + np.cross(orientation[:, 1:], twice)
