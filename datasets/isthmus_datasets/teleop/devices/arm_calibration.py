"""What the servos of a leader arm mean: which is which joint, where it is zero, which way it turns, how far it goes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.files import replace_file

VERSION = 1
TICKS = 4096  # per turn, of Feetech's STS3215 and Dynamixel's X series


@dataclass(frozen=True, kw_only=True)
class Joint:
    """A servo.

    Args:
        id: On the bus.
        home_ticks: Where the joint is at 0 rad.
        direction: 1 if ticks grow with the angle, else -1.
        minimum_rad, maximum_rad: How far it goes, within half a turn of its home.

    Raises:
        ValueError: any of these is not so.
    """

    id: int
    home_ticks: int
    direction: int
    minimum_rad: float
    maximum_rad: float

    def __post_init__(self) -> None:
        if not 0 <= self.id <= 252 or self.direction not in (1, -1):
            raise ValueError(f"id must be 0..252 and direction 1 or -1, not {self.id} and {self.direction}")
        if not -math.pi <= self.minimum_rad < self.maximum_rad <= math.pi:
            raise ValueError(f"the range must be within ±π rad, not {self.minimum_rad} .. {self.maximum_rad}")

    def angle(self, ticks: int) -> float:
        """rad, within half a turn of home: a servo may count on beyond a turn."""
        away = (ticks - self.home_ticks + TICKS // 2) % TICKS - TICKS // 2
        return self.direction * away * 2 * math.pi / TICKS


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What the servos of an arm mean: joint -> servo.

    Raises:
        ValueError: no joint, or two of one id.
    """

    joints: Mapping[str, Joint]

    def __post_init__(self) -> None:
        ids = [joint.id for joint in self.joints.values()]
        if not ids or len(ids) != len(set(ids)):
            raise ValueError(f"each joint needs an id of its own, but they are {ids}")

    def angles(self, ticks: Mapping[int, int]) -> NDArray[np.float64]:
        """Servo id -> ticks, as (n,) rad in the order of `joints`."""
        return np.array([joint.angle(ticks[joint.id]) for joint in self.joints.values()])

    @property
    def ranges(self) -> NDArray[np.float64]:
        """(n, 2) rad: least and most of each."""
        return np.array([(joint.minimum_rad, joint.maximum_rad) for joint in self.joints.values()])

    def ordered(self, joints: Sequence[str]) -> Calibration:
        """The same, its joints in the robot's order. Raises ValueError: the robot's are others."""
        if set(joints) != set(self.joints):
            raise ValueError(f"the leader's joints are {', '.join(self.joints)}, but the robot's {', '.join(joints)}")
        return Calibration(joints={name: self.joints[name] for name in joints})

    def save(self, path: Path) -> None:
        """As JSON; a reader never sees half of it."""
        said = {"version": VERSION, "joints": {name: asdict(joint) for name, joint in self.joints.items()}}
        replace_file(path, (json.dumps(said, indent=2) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Raises FileNotFoundError, or ValueError that names the file and what is wrong in it."""
        try:
            said = json.loads(path.read_text())
            if said["version"] != VERSION:
                raise ValueError(f"it has version {said['version']}, known is {VERSION}: calibrate anew")
            return cls(joints={name: Joint(**joint) for name, joint in said["joints"].items()})
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path} is no calibration of an arm: {error}") from error


def homed(ids: Mapping[str, int], home: Mapping[int, int], reversed_joints: Sequence[str] = ()) -> Calibration:
    """An arm of which only its zero is known; its joints may go half a turn either way.

    Args:
        ids: joint -> servo.
        home: servo -> ticks, every joint at 0 rad.
        reversed_joints: Those whose ticks fall while the angle grows.

    Raises:
        ValueError: one of these is no joint.
    """
    unknown = [name for name in reversed_joints if name not in ids]
    if unknown:
        raise ValueError(f"no joint {', '.join(unknown)} to be reversed; there are: {', '.join(ids)}")
    return Calibration(
        joints={
            name: Joint(
                id=servo, home_ticks=home[servo], direction=-1 if name in reversed_joints else 1,
                minimum_rad=-math.pi, maximum_rad=math.pi,
            )
            for name, servo in ids.items()
        }
    )  # fmt: skip


def calibrated(
    ids: Mapping[str, int],
    home: Mapping[int, int],
    seen: Sequence[Mapping[int, int]],
    reversed_joints: Sequence[str] = (),
) -> Calibration:
    """From an arm that was held at 0 rad, and then moved as far as it goes.

    Args:
        ids, home, reversed_joints: As `homed` takes them.
        seen: servo -> ticks, again and again while all joints were moved.

    Raises:
        ValueError: as `homed`; or a joint was hardly moved, or goes half a turn away from its home.
    """
    joints = {}
    for name, joint in homed(ids, home, reversed_joints).joints.items():
        angles = [joint.angle(ticks[joint.id]) for ticks in seen]
        least, most = min(angles, default=0.0), max(angles, default=0.0)
        if most - least < 0.1:
            raise ValueError(f"{name} was moved by {most - least:.2f} rad only: move every joint as far as it goes")
        if most - least > 1.9 * math.pi:
            raise ValueError(f"{name} went half a turn away from its home: hold it nearer to the middle of its way")
        joints[name] = replace(joint, minimum_rad=least, maximum_rad=most)
    return Calibration(joints=joints)
