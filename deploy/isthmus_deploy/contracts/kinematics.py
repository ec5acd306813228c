"""Where a chain of revolute joints puts a point, and how that changes with each joint."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, sin

import numpy as np

from isthmus_deploy.contracts.safety_data import Link, Quaternion, Vector3


@dataclass(slots=True)  # a named tuple takes longer to make
class Pose:
    """Where the point is, and what derivatives are made of."""

    point: Vector3
    """m in the base."""
    turned: list[tuple[float, float, float, float]]
    """From the last joint to the first: cosine and sine of its turn, and x and y of the point as seen from it."""


class Kinematics:
    """Forward kinematics of a chain, in plain numbers: for a handful of joints several times as fast as with arrays.

    Frames are turned so that every joint turns about its own z, and so that x is common to it and the joint before it:
    what lies between two joints is then a turn α about x and a shift t, and a constant that is added to the angle, as
    Denavit and Hartenberg have it (Journal of Applied Mechanics 22, 1955). Where w is the point after the turn of one
    joint, the point in the frame of the joint before it is Rx(α)·w + t.

    Args:
        links: From the base on.
        point: (3,) m in the frame of the last joint.
    """

    def __init__(self, links: Sequence[Link], point: Vector3):
        before, frames, shifts = np.eye(3), [], []
        for link in links:
            aligned = _from_z(link.axis)
            frames.append(_turns(before.T @ rotation(link.orientation) @ aligned))
            shifts.append(before.T @ np.array(link.offset))
            before = aligned
        outer = [first for first, _, _ in frames[1:]] + [0.0]  # turns about a joint's z that stand after it
        self._outwards: list[tuple[float, ...]] = []
        for (first, middle, last), shift, after in zip(frames, shifts, outer, strict=True):
            shift = _about_z(first).T @ shift
            self._outwards.append((cos(middle), sin(middle), *shift.tolist(), last + after))
        self._inwards = self._outwards[::-1]
        self._tilts = [(c, s) for c, s, *_ in self._outwards]
        self._base = cos(frames[0][0]), sin(frames[0][0])
        self._point = (before.T @ np.array(point)).tolist()
        lengths = [*(math.hypot(*link.offset) for link in links[1:]), math.hypot(*point)]
        self.reach = [math.fsum(lengths[index:]) for index in range(len(links))]
        """m: the point is never farther from a joint than this, so a turn of it moves the point no more."""

    def place(self, angles: Sequence[float]) -> Pose:
        """The pose at these angles of the joints, rad."""
        x, y, z = self._point
        turned, index = [], len(angles)
        for c, s, tx, ty, tz, zero in self._inwards:
            index -= 1
            angle = angles[index] + zero
            along, across = cos(angle), sin(angle)
            x, y = along * x - across * y, across * x + along * y
            turned.append((along, across, x, y))
            x, y, z = x + tx, c * y - s * z + ty, s * y + c * z + tz
        along, across = self._base
        return Pose((along * x - across * y, across * x + along * y, z), turned)

    def gradient(self, pose: Pose, normal: Vector3) -> list[float]:
        """How far each joint's turn moves the point along the unit vector `normal` (in the base), m/rad.

        The derivative in reverse mode: the normal n goes from the base outwards; at each joint the point moves by
        z × w for a turn, and n·(z × w) of it along the normal.
        """
        x, y, z = normal
        along, across = self._base
        x, y = along * x + across * y, along * y - across * x
        gradient = []
        for (c, s), (along, across, wx, wy) in zip(self._tilts, reversed(pose.turned)):
            y, z = c * y + s * z, c * z - s * y
            gradient.append(y * wx - x * wy)
            x, y = along * x + across * y, along * y - across * x
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


def _about_z(angle: float) -> np.ndarray:
    """(3, 3) of a turn about z."""
    return np.array([[cos(angle), -sin(angle), 0.0], [sin(angle), cos(angle), 0.0], [0.0, 0.0, 1.0]])


def _turns(turn: np.ndarray) -> tuple[float, float, float]:
    """A rotation (3, 3) as turns about z, x and z again, rad; where z stays along z, all about z is the last one's."""
    first = math.atan2(turn[0, 2], -turn[1, 2]) if math.hypot(turn[0, 2], turn[1, 2]) > 1e-12 else 0.0
    rest = _about_z(first).T @ turn
    return first, math.atan2(-rest[1, 2], rest[2, 2]), math.atan2(-rest[0, 1], rest[0, 0])
