"""Where a chain of revolute joints puts a point, and how that changes with each joint."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from isthmus_deploy.contracts.safety_data import Link, Quaternion, Vector3


class Pose(NamedTuple):
    """Where the point is, and what derivatives are made of."""

    point: Vector3
    """m in the base."""
    turned: list[tuple[float, float, float, float]]
    """From the last joint to the first: cosine and sine of its angle, and x and y of the point in its frame."""


class Kinematics:
    """Forward kinematics of a chain, in plain numbers: for a handful of joints several times as fast as with arrays.

    Frames are turned so that every joint turns about its own z. Where w is the point after the turn of one joint, the
    point in the frame of the joint before it is F·w + t, with F and t constant.

    Args:
        links: From the base on.
        point: (3,) m in the frame of the last joint.
    """

    def __init__(self, links: Sequence[Link], point: Vector3):
        before, self._outwards = np.eye(3), []
        for link in links:
            aligned = _from_z(link.axis)
            turn, shift = before.T @ rotation(link.orientation) @ aligned, before.T @ np.array(link.offset)
            self._outwards.append((*turn.reshape(-1).tolist(), *shift.tolist()))
            before = aligned
        self._inwards = self._outwards[::-1]
        self._point = (before.T @ np.array(point)).tolist()
        lengths = [*(math.hypot(*link.offset) for link in links[1:]), math.hypot(*point)]
        self.reach = [math.fsum(lengths[index:]) for index in range(len(links))]
        """m: the point is never farther from a joint than this, so a turn of it moves the point no more."""

    def place(self, angles: Sequence[float]) -> Pose:
        """The pose at these angles of the joints, rad."""
        x, y, z = self._point
        turned = []
        for (a, b, c, d, e, f, g, h, i, tx, ty, tz), angle in zip(self._inwards, reversed(angles), strict=True):
            cos, sin = math.cos(angle), math.sin(angle)
            x, y = cos * x - sin * y, sin * x + cos * y
            turned.append((cos, sin, x, y))
            x, y, z = a * x + b * y + c * z + tx, d * x + e * y + f * z + ty, g * x + h * y + i * z + tz
        return Pose((x, y, z), turned)

    def gradient(self, pose: Pose, normal: Vector3) -> list[float]:
        """How far each joint's turn moves the point along the unit vector `normal` (in the base), m/rad.

        The derivative in reverse mode: the normal n goes from the base outwards; at each joint the point moves by
        z × w for a turn, and n·(z × w) of it along the normal.
        """
        x, y, z = normal
        gradient = []
        for (a, b, c, d, e, f, g, h, i, *_), (cos, sin, wx, wy) in zip(
            self._outwards, reversed(pose.turned), strict=True
        ):
            x, y, z = a * x + d * y + g * z, b * x + e * y + h * z, c * x + f * y + i * z
            gradient.append(y * wx - x * wy)
            x, y = cos * x + sin * y, cos * y - sin * x
        return gradient


def rotation(quaternion: Quaternion) -> np.ndarray:
    """(3, 3) of a unit quaternion wxyz."""
    w, x, y, z = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _from_z(axis: Vector3) -> np.ndarray:
    """A rotation (3, 3) that takes z to the direction of `axis`."""
    z = np.array(axis) / math.hypot(*axis)
    x = np.cross(np.eye(3)[np.abs(z).argmin()], z)
    x /= np.linalg.norm(x)
    return np.column_stack((x, np.cross(z, x), z))
