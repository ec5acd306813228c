"""SO-101 with a six-axis force-torque sensor between wrist and gripper, and a round peg held in its jaws.

All but sensor and peg is `so101`. The jaws hold the peg so tightly that it is one with them, and its axis is that of
the wrist's roll: seen from the arm it makes the last link longer.

The sensor is as ATI's Mini40 with the calibration SI-40-2: 40 N across, 120 N along its axis, 2 N·m (ATI, "F/T Sensor"
catalogue). Its axes are the tool's: z out of the gripper, x to the moving jaw. It reads what the wrist does to hold all
that hangs on it against weight, inertia and touch: a peg that points down and is pressed upwards by d N reads d N more
along z than one in the air, and that reads minus the weight of gripper and peg.
"""

from __future__ import annotations

import math
from dataclasses import replace

from isthmus_sim.description import Stance, Vector3
from isthmus_sim.robots.so101.description import OFFSET, ROBOT, TIP_CHAIN
from isthmus_sim.specs import SignalSpec

PERIOD = 0.05  # s
PEG_RADIUS = 0.008  # m
PEG_END = 0.122  # m, of its far end from the frame of the wrist's roll: 18 mm out of the jaws
PEG_LENGTH = 0.05  # m
CHAMFER = 0.0005  # m, at its end, by 45°
FORCE, TORQUE = "wrist_force", "wrist_torque"
"""Signals, and the sensors of the model."""
HOLE = "hole_position"
"""Signal: where a camera above the table has found the hole, which is what stands around this robot."""

HOME: tuple[float, ...] = (0.0, -0.3764, 0.441, 1.5062, 0.0, 0.0)
"""rad: the peg points straight down, its end 45 mm above the table and 150 mm in front of the pan axis."""

_FORCE_RANGE, _TORQUE_RANGE = (40.0, 40.0, 120.0), (2.0, 2.0, 2.0)
_SENSOR_AGE, _CAMERA_AGE = 0.1, 1.0  # s
_SEEN = ((0.0, -0.3, -0.05), (0.5, 0.3, 0.1))  # m: the part of the table that the camera sees

# From joint to joint in the arm's plane, m: ahead of the pan axis, and up.
_SHOULDER = (OFFSET["shoulder_lift"][0], OFFSET["shoulder_pan"][2] + OFFSET["shoulder_lift"][2])
_UPPER_ARM = (OFFSET["elbow_flex"][0], OFFSET["elbow_flex"][2])
_FOREARM = (OFFSET["wrist_flex"][0], OFFSET["wrist_flex"][2])
_HAND = (OFFSET["wrist_roll"][0] + PEG_END, 0.0)
IN_PLANE = (_SHOULDER, _UPPER_ARM, _FOREARM, _HAND)
"""m, ahead and up, at zero of the joints: from the pan axis at the table to the shoulder, on to elbow, wrist, peg's
end."""


def _model(looks: bool) -> str:
    from isthmus_sim.robots.so101_peg.mjcf import so101_peg_mjcf  # it is made from what stands here

    return so101_peg_mjcf()


def _measured(name: str, unit: str, axes: tuple[str, ...], reach: Vector3) -> SignalSpec:
    return SignalSpec(
        name=name, unit=unit, frame="tool", order=axes, minimum=tuple(-most for most in reach), maximum=reach,
        max_jump=tuple(2 * most for most in reach), max_age_s=_SENSOR_AGE, max_still_s=1.0, sensor="wrench",
    )  # fmt: skip


def _of_this_period(signal: SignalSpec) -> SignalSpec:
    longer = PERIOD / ROBOT.control_period_s
    return replace(signal, max_jump=tuple(longer * jump for jump in signal.max_jump))


ROBOT_WITH_PEG = replace(
    ROBOT,
    name="so101_peg",
    control_period_s=PERIOD,
    signals=(
        *map(_of_this_period, ROBOT.signals),
        _measured(FORCE, "N", ("fx", "fy", "fz"), _FORCE_RANGE),
        _measured(TORQUE, "N·m", ("tx", "ty", "tz"), _TORQUE_RANGE),
        SignalSpec(
            name=HOLE, unit="m", frame="world", order=("x", "y", "z"), minimum=_SEEN[0], maximum=_SEEN[1],
            max_jump=(0.05,) * 3, max_age_s=_CAMERA_AGE,
        ),
    ),
    commands=tuple(replace(command, safe=HOME, standby=HOME) for command in ROBOT.commands),
    joints={
        name: replace(joint, default_position=angle)
        for (name, joint), angle in zip(ROBOT.joints.items(), HOME, strict=True)
    },
    model=_model,
    stances={"home": Stance(joints=HOME)},
    looks=replace(ROBOT.looks, distance=0.5, azimuth=165.0, elevation=-22.0),
    safety={
        "tools": [
            TIP_CHAIN | {
                "name": "peg", "point": (PEG_END, 0.0, 0.0), "command": "joint_position_target", "approach_rate": 15.0,
                "half_spaces": [{"normal": (0.0, 0.0, 1.0), "offset": -0.01}],
            },
        ],
    },
)  # fmt: skip

DOWN = 0.5 * math.pi
"""rad: what lift, elbow and wrist add up to when the peg points down."""
