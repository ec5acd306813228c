"""Faults of what the robot measures and says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from faults.messages import both, drifting, edited, frozen, late, lost, reordered, replayed, silence, then, twice
from faults.trial import Holds, Kind, Refuses, Stops

AGE_S = 0.1
"""How old a reading may be, by the contract of either robot."""
FROZEN_S, FROZEN_JOINTS_S = 0.25, 1.0
"""How long readings may stay the same, by the description of either robot; joints that hold a pose may longer."""


def _position(value: float) -> Any:
    return lambda message: setattr(message.pose.pose.position, "x", value)


def _jump(message: Any) -> None:
    message.pose.pose.position.x += 5.0


def _no_orientation(message: Any) -> None:
    q = message.pose.pose.orientation
    q.x = q.y = q.z = q.w = 0.0


def _upside_down(orientation: Any) -> None:
    """Turned by 180° about x."""
    x, y, z, w = orientation.x, orientation.y, orientation.z, orientation.w
    orientation.x, orientation.y, orientation.z, orientation.w = w, z, -y, -x


def _joint_nan(message: Any) -> None:
    message.position[3] = math.nan


def _joint_missing(message: Any) -> None:
    message.name = message.name[1:]
    message.position, message.velocity = message.position[1:], message.velocity[1:]


def _joint_twice(message: Any) -> None:
    message.name = [message.name[1], *message.name[1:]]


def _joints_short(message: Any) -> None:
    message.position = message.position[:-1]


def _joints_permuted(random: np.random.Generator = np.random.default_rng(0)) -> Any:  # noqa: B008
    def edit(message: Any) -> None:
        order = random.permutation(len(message.name))
        message.name = [message.name[i] for i in order]
        message.position = [message.position[i] for i in order]
        message.velocity = [message.velocity[i] for i in order]

    return edit


def _frame(name: str) -> Any:
    return lambda message: setattr(message.header, "frame_id", name)


def _stamp(seconds: int | None) -> Any:
    """Stamps off by so much; None for none."""

    def edit(message: Any) -> None:
        stamp = message.header.stamp
        stamp.sec = 0 if seconds is None else stamp.sec + seconds
        stamp.nanosec = 0 if seconds is None else stamp.nanosec

    return edit


_LEGS = "quadruped"

KINDS = (
    Kind(name="position is not a number", inject=edited("odom", _position(math.nan)), expect=Stops()),
    Kind(name="position is infinite", inject=edited("odom", _position(math.inf)), expect=Stops()),
    Kind(name="position out of range", inject=edited("odom", _position(40.0)), expect=Stops()),
    Kind(name="position jumps by 5 m", inject=edited("odom", _jump), expect=Stops()),
    Kind(name="quaternion of norm 0", inject=edited("odom", _no_orientation), expect=Stops()),
    Kind(name="odometry falls silent", inject=silence("odom"), expect=Stops(time_out_s=AGE_S)),
    Kind(name="IMU falls silent", inject=silence("imu"), expect=Stops(time_out_s=AGE_S)),
    Kind(name="joint states fall silent", robot=_LEGS, inject=silence("joint_states"), expect=Stops(time_out_s=AGE_S)),
    Kind(name="a joint is not a number", robot=_LEGS, inject=edited("joint_states", _joint_nan), expect=Stops()),
    Kind(name="a joint is missing", robot=_LEGS, inject=edited("joint_states", _joint_missing), expect=Stops()),
    Kind(name="a joint is named twice", robot=_LEGS, inject=edited("joint_states", _joint_twice), expect=Stops()),
    Kind(name="fewer positions than names", robot=_LEGS, inject=edited("joint_states", _joints_short), expect=Stops()),
    Kind(
        name="joints in another order each time", robot=_LEGS, inject=edited("joint_states", _joints_permuted()),
        expect=Holds(),
    ),
    Kind(name="frozen odometry", row=3, inject=frozen("odom"), expect=Stops(time_out_s=FROZEN_S)),
    Kind(name="frozen IMU", row=3, inject=frozen("imu"), expect=Stops(time_out_s=FROZEN_S)),
    Kind(
        name="frozen joint states", row=3, robot=_LEGS, inject=frozen("joint_states"),
        expect=Stops(time_out_s=FROZEN_JOINTS_S),
    ),
    Kind(name="frozen IMU, legs", row=3, robot=_LEGS, inject=frozen("imu"), expect=Stops(time_out_s=FROZEN_S)),
    Kind(name="30 % of odometry lost", inject=lost("odom", 0.3), expect=Holds()),
    Kind(name="every reading comes twice", inject=both(twice("odom"), twice("imu")), expect=Holds()),
    Kind(name="all readings 30 ms late", row=8, inject=both(late("odom", 0.03), late("imu", 0.03)), expect=Holds()),
    Kind(
        name="readings later and later, by 50 ms/s", row=8,
        inject=both(late("odom", 0.0, 0.05), late("imu", 0.0, 0.05)), expect=Holds(seconds=2.0),
    ),
    Kind(name="IMU 90 ms behind odometry", row=8, inject=late("imu", 0.09), expect=Holds()),
    Kind(name="stamps of zero", row=9, inject=edited("odom", _stamp(None)), expect=Holds()),
    Kind(name="stamps an hour ahead", row=9, inject=edited("odom", _stamp(3600)), expect=Holds()),
    Kind(name="stamps step back by 10 s", row=9, inject=edited("odom", _stamp(-10)), expect=Holds()),
    Kind(name="readings of 300 ms ago between new ones", row=10, inject=replayed("odom", 30), expect=Holds()),
    Kind(name="pairs of readings in the wrong order", row=10, inject=reordered("odom"), expect=Holds()),
    Kind(name="position drifts by 2 m/s", row=12, inject=drifting("odom", 2.0), expect=Holds(seconds=2.0)),
    Kind(
        name="armed with readings that stopped", row=2, robot=_LEGS, phase="idle",
        inject=then(silence("joint_states"), 3 * AGE_S), expect=Refuses(words="stale"),
    ),
    Kind(
        name="armed upside down", row=15, phase="idle",
        inject=then(edited("odom", lambda message: _upside_down(message.pose.pose.orientation)), 0.3), expect=Refuses(),
    ),
    Kind(
        name="armed with the IMU upside down", row=7, robot=_LEGS, phase="idle",
        inject=then(edited("imu", lambda message: _upside_down(message.orientation)), 0.3), expect=Refuses(),
    ),
    Kind(
        name="armed with odometry in a NED frame", row=7, phase="idle",
        inject=then(edited("odom", _frame("world_ned")), 0.3), expect=Refuses(),
    ),
    Kind(
        name="armed with odometry of a camera", row=7, phase="idle",
        inject=then(edited("odom", lambda message: setattr(message, "child_frame_id", "camera_link")), 0.3),
        expect=Refuses(),
    ),
)  # fmt: skip
