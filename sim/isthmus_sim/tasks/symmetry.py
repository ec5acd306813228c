"""Mirror images of observations, piece by piece, from a robot's left-right symmetry."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus_sim.description import RobotDescription
from isthmus_sim.task import Mirror

Piece = tuple[tuple[int, ...], tuple[float, ...]]
"""For some numbers in a row: which other ones their mirror images are, and with what signs."""


def signs(*sign: float) -> Piece:
    """Numbers that stay where they are."""
    return tuple(range(len(sign))), sign


VECTOR, SPIN, SAME = signs(1, -1, 1), signs(-1, 1, -1), signs(1)
"""A vector and a rotation in the body's axes (x forward, y left, z up), and a number without a side."""


def joined(*pieces: Piece) -> Mirror:
    """The mirror of a row that consists of these pieces."""
    index: list[int] = []
    sign: list[float] = []
    for places, its_signs in pieces:
        index += [len(sign) + place for place in places]
        sign += its_signs
    return Mirror(index=tuple(index), sign=tuple(sign))


def joints(robot: RobotDescription) -> Piece:
    """Joint angles, speeds or targets, in the robot's order."""
    names = list(robot.joints)
    images = [robot.mirror[name] for name in names]
    return tuple(names.index(other) for other, _ in images), tuple(sign for _, sign in images)


def per_joint(robot: RobotDescription) -> Piece:
    """A number without a direction for each joint."""
    return joints(robot)[0], (1.0,) * len(robot.joints)


def per_foot(robot: RobotDescription) -> Piece:
    """A number without a direction for each foot."""
    return other_feet(robot), (1.0,) * len(robot.feet)


def other_feet(robot: RobotDescription) -> tuple[int, ...]:
    """The foot on the other side of each: that whose leg has the mirrored joints."""
    legs: Mapping[str, tuple[str, ...]] = robot.legs
    mirrored = [{robot.mirror[joint][0] for joint in chain} for chain in legs.values()]
    return tuple([set(chain) for chain in legs.values()].index(image) for image in mirrored)


def grid(forward: int, left: int) -> Piece:
    """Heights at places forward times left around the robot."""
    index = tuple(row * left + (left - 1 - column) for row in range(forward) for column in range(left))
    return index, (1.0,) * len(index)
