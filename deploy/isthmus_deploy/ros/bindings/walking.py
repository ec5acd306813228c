"""The velocity at which an operator wants a robot to walk or drive (cmd_vel)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from geometry_msgs.msg import TwistStamped

from isthmus_deploy.contracts.robot_interface import SignalInterface
from isthmus_deploy.ros.bindings.binding import (
    BODY_FRAME,
    Array,
    BadMessage,
    RosBindings,
    SignalBinding,
    Topic,
    Write,
    plainly,
)
from isthmus_deploy.ros.qos import SENSOR

_STILL = {"linear_velocity_command": np.zeros(2), "yaw_rate_command": np.zeros(1)}
"""What a message says where nobody asks: a robot may only turn, or only go."""


def _check_body_frame(message: TwistStamped) -> None:
    if message.header.frame_id not in ("", BODY_FRAME):
        raise BadMessage(
            f"cmd_vel: header.frame_id is {message.header.frame_id!r}; a walking velocity is in the body frame, "
            f"{BODY_FRAME!r} or ''"
        )


def _read_velocity(message: TwistStamped, out: Array) -> None:
    out[0], out[1] = message.twist.linear.x, message.twist.linear.y


def _read_yaw_rate(message: TwistStamped, out: Array) -> None:
    out[0] = message.twist.angular.z


def _writer(_: Sequence[SignalInterface]) -> Write:
    message = TwistStamped()
    message.header.frame_id = BODY_FRAME

    def write(values: Mapping[str, Array]) -> TwistStamped:
        twist, asked = message.twist, {**_STILL, **values}
        twist.linear.x, twist.linear.y = asked["linear_velocity_command"].tolist()
        (twist.angular.z,) = asked["yaw_rate_command"].tolist()
        return message

    return write


# A person's hand on a stick: when it is gone, so is what it asked for, and the robot stands.
CMD_VEL = Topic(
    name="cmd_vel", message=TwistStamped, qos=SENSOR, side="operator", writer=_writer, check=_check_body_frame,
    holds=True, expires_s=0.5,
)  # fmt: skip

BINDINGS = RosBindings(
    signals={
        "linear_velocity_command": SignalBinding(
            unit="m/s", frame="body", order=("x", "y"), sources=(plainly(CMD_VEL, _read_velocity),)
        ),
        "yaw_rate_command": SignalBinding(
            unit="rad/s", frame="body", order=("z",), sources=(plainly(CMD_VEL, _read_yaw_rate),)
        ),
    }
)
