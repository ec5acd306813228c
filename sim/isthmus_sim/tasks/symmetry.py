"""Mirror images of observations, piece by piece, from a robot's left-right symmetry.

For a robot without one nothing moves: its pieces only say how many numbers there are.
"""

from __future__ import annotations

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


def check_mirror(robot: RobotDescription) -> None:
    """Raise ValueError where a robot's mirror says nothing of a joint, names one that there is not, or makes of a leg's
    joints those of no leg."""
    if not robot.mirror:
        return
    lacking = [joint for joint in robot.joints if joint not in robot.mirror]
    unknown = {*robot.mirror, *(image for image, _ in robot.mirror.values())} - set(robot.joints)
    if lacking or unknown:
        raise ValueError(
            f"the mirror of {robot.name} lacks {', '.join(lacking) or 'no joint'}, and names as joints "
            f"{', '.join(sorted(unknown)) or 'nothing that is none'}; the joints are: {', '.join(robot.joints)}. Name "
            "the image of each, or leave the mirror empty"
        )
    legs = [set(chain) for chain in robot.legs.values()]
    alone = [foot for foot, leg in zip(robot.feet, legs, strict=True) if _image(robot, leg) not in legs]
    if alone:
        raise ValueError(
            f"the mirror of {robot.name} turns into none of its legs: {', '.join(alone)}; correct it or `legs`"
        )


def joints(robot: RobotDescription) -> Piece:
    """Joint angles, speeds or targets, in the robot's order."""
    names = list(robot.joints)
    images = [robot.mirror[name] if robot.mirror else (name, 1.0) for name in names]
    return tuple(names.index(other) for other, _ in images), tuple(sign for _, sign in images)


def per_joint(robot: RobotDescription) -> Piece:
    """A number without a direction for each joint."""
    return joints(robot)[0], (1.0,) * len(robot.joints)


def per_foot(robot: RobotDescription) -> Piece:
    """A number without a direction for each foot."""
    return other_feet(robot), (1.0,) * len(robot.feet)


def other_feet(robot: RobotDescription) -> tuple[int, ...]:
    """The foot on the other side of each: that whose leg has the mirrored joints."""
    legs = [set(chain) for chain in robot.legs.values()]
    return tuple(legs.index(_image(robot, leg)) for leg in legs)


def _image(robot: RobotDescription, leg: set[str]) -> set[str]:
    return {robot.mirror[joint][0] for joint in leg} if robot.mirror else leg


def grid(forward: int, left: int) -> Piece:
    """Heights at places forward times left around the robot."""
    index = tuple(row * left + (left - 1 - column) for row in range(forward) for column in range(left))
    return index, (1.0,) * len(index)
