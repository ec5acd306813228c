"""Poses: position and orientation of one frame in another.

A camera's frame is OpenCV's: z where it looks, x to the right of the image, y down. The board's is on its upper left
corner: x along its first row, y down its first column, z into it. Pixel (0, 0) is the centre of the upper left one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]
"""(4, 4): takes points of one frame to another."""
_UNIT = 1e-3  # a quaternion's norm may be so far from 1, as one that was typed or rounded is


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Position and orientation of one frame in another.

    Args:
        position: (3,) m.
        wxyz: (4,) unit quaternion.

    Raises:
        ValueError: a number is not finite, or the quaternion is not of unit length.
    """

    position: tuple[float, float, float]
    wxyz: tuple[float, float, float, float]

    def __post_init__(self) -> None:
        if len(self.position) != 3 or len(self.wxyz) != 4:
            raise ValueError(f"a pose has 3 and 4 numbers, not {len(self.position)} and {len(self.wxyz)}")
        if not all(map(math.isfinite, (*self.position, *self.wxyz))):
            raise ValueError(f"a pose is not finite: {self.position}, {self.wxyz}")
        if abs(math.hypot(*self.wxyz) - 1.0) > _UNIT:
            raise ValueError(f"{self.wxyz} is no unit quaternion wxyz: its length is {math.hypot(*self.wxyz):.4g}")

    def matrix(self) -> Matrix:
        """Takes points of the frame to the other."""
        w, x, y, z = np.array(self.wxyz) / math.hypot(*self.wxyz)
        matrix = np.eye(4)
        matrix[:3, :3] = (
            (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        )
        matrix[:3, 3] = self.position
        return matrix

    @classmethod
    def of(cls, matrix: Matrix) -> Pose:
        """The pose that `matrix` is; w is not negative."""
        turn = rotation_vector(matrix)
        angle = float(np.linalg.norm(turn))
        axis = turn / angle if angle else turn
        x, y, z = (math.sin(angle / 2) * axis).tolist()
        px, py, pz = matrix[:3, 3].tolist()
        return cls(position=(px, py, pz), wxyz=(math.cos(angle / 2), x, y, z))


def rotation_vector(matrix: Matrix) -> NDArray[np.float64]:
    """(3,) rad, along the axis: the rotation in a (3, 3) or (4, 4)."""
    return np.asarray(cv2.Rodrigues(matrix[:3, :3])[0], np.float64).reshape(3)


def moved(turn: ArrayLike, position: ArrayLike) -> Matrix:
    """From a rotation vector (3,) rad and a position (3,) m."""
    matrix = np.eye(4)
    matrix[:3, :3] = cv2.Rodrigues(np.asarray(turn, np.float64))[0]
    matrix[:3, 3] = np.reshape(position, 3)
    return matrix


def inverse(matrix: Matrix) -> Matrix:
    """The way back."""
    back = np.eye(4)
    back[:3, :3] = matrix[:3, :3].T
    back[:3, 3] = -matrix[:3, :3].T @ matrix[:3, 3]
    return back


def apart(a: Matrix, b: Matrix) -> tuple[float, float]:
    """How far two poses in the same frame are from each other: m, rad."""
    return float(np.linalg.norm(a[:3, 3] - b[:3, 3])), float(np.linalg.norm(rotation_vector(a[:3, :3].T @ b[:3, :3])))
