"""What robots with legs sense and what they are asked for: joints, an inertial unit, and speeds to walk at."""

from __future__ import annotations

import math
from collections.abc import Mapping

from isthmus_sim.specs import JointSpec, SignalSpec

_AGE = 0.1  # s
_OPERATOR_S = 0.5  # a hand on a stick: when it is gone, so is what it asked for, and the robot stands
# A gyro's noise is larger than its steps. Encoders may stand still one by one; that of all joints of a robot that
# balances on its motors none moves by a step in a second, does not happen.
_STILL_IMU, _STILL_JOINTS = 0.25, 1.0  # s
# The limits of joint angles are soft stops, and a fall presses a joint past them by a few degrees; 0.3 rad beyond, the
# encoder has lost its zero. Impacts turn joints faster than their motors do: up to twice what the fastest of these
# reaches unloaded, and in a period a joint turns no further than that.
_ANGLE_MARGIN = 0.3  # rad
_OVERSPEED = 2
_GYRO_RANGE = math.radians(2000)  # rad/s


def legged_signals(
    joints: Mapping[str, JointSpec], period_s: float, *, linear_velocity: tuple[float, float], yaw_rate: float
) -> tuple[SignalSpec, ...]:
    """Describe the signals of a robot whose joints have encoders and whose base has an inertial unit.

    Args:
        joints: Joints by name, in the order of their readings.
        period_s: The control period.
        linear_velocity: Most that may be asked for forward and sideways, m/s.
        yaw_rate: Most that may be asked for turning, rad/s.
    """
    speed = _OVERSPEED * max(joint.velocity_limit for joint in joints.values())
    low = tuple(joint.position_min - _ANGLE_MARGIN for joint in joints.values())
    high = tuple(joint.position_max + _ANGLE_MARGIN for joint in joints.values())
    fastest = (speed,) * len(joints)
    return (
        _of_joints("joint_position", "rad", tuple(joints), low, high, speed * period_s),
        _of_joints("joint_velocity", "rad/s", tuple(joints), tuple(-s for s in fastest), fastest, 2 * speed),
        _of_imu("angular_velocity", "rad/s", "body", ("x", "y", "z"), _GYRO_RANGE, _GYRO_RANGE),
        _of_imu("imu_orientation", "1", "world_from_body", ("w", "x", "y", "z"), 1.01, 2.02),
        _goal("linear_velocity_command", "m/s", ("x", "y"), linear_velocity),
        _goal("yaw_rate_command", "rad/s", ("z",), (yaw_rate,)),
    )


def _of_joints(
    name: str, unit: str, joints: tuple[str, ...], low: tuple[float, ...], high: tuple[float, ...], jump: float
) -> SignalSpec:
    return SignalSpec(
        name=name, unit=unit, frame="joint", order=joints, minimum=low, maximum=high,
        max_jump=(jump,) * len(joints), max_age_s=_AGE, max_still_s=_STILL_JOINTS, sensor="joint_states",
    )  # fmt: skip


def _of_imu(name: str, unit: str, frame: str, order: tuple[str, ...], bound: float, jump: float) -> SignalSpec:
    n = len(order)
    return SignalSpec(
        name=name, unit=unit, frame=frame, order=order, minimum=(-bound,) * n, maximum=(bound,) * n,
        max_jump=(jump,) * n, max_age_s=_AGE, max_still_s=_STILL_IMU, sensor="imu",
    )  # fmt: skip


def _goal(name: str, unit: str, order: tuple[str, ...], bound: tuple[float, ...]) -> SignalSpec:
    return SignalSpec(
        name=name, unit=unit, frame="body", order=order, minimum=tuple(-b for b in bound), maximum=bound,
        max_jump=tuple(2 * b for b in bound), max_age_s=None, expires_s=_OPERATOR_S,
    )  # fmt: skip
