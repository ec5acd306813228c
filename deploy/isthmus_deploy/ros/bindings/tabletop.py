"""The disc and the block of Push-T, which a camera above their table tracks: `geometry_msgs/PoseStamped` in metres.

ROS's frame "table" has its origin in the table's middle, x to the right, y up in the image, z towards the camera. The
policy's signals are in the published data's pixels: a pixel is a millimetre, the origin is the upper left corner, y
points down, and angles are clockwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from geometry_msgs.msg import PointStamped, PoseStamped

from isthmus_deploy.contracts.robot_interface import CommandInterface, SignalInterface
from isthmus_deploy.ros.bindings.binding import (
    Array,
    BadMessage,
    CommandBinding,
    RosBindings,
    SignalBinding,
    Topic,
    Write,
    plainly,
)
from isthmus_deploy.ros.bindings.messages import read_quaternion, write_quaternion
from isthmus_deploy.ros.qos import SENSOR

FRAME = "table"
PIXEL_M = 0.001
MIDDLE_PX = 256.0


def to_pixels(x: float, y: float) -> tuple[float, float]:
    """A place in m -> px."""
    return MIDDLE_PX + x / PIXEL_M, MIDDLE_PX - y / PIXEL_M


def to_metres(x: float, y: float) -> tuple[float, float]:
    """A place in px -> m."""
    return (x - MIDDLE_PX) * PIXEL_M, (MIDDLE_PX - y) * PIXEL_M


def _check_frame(message: PoseStamped) -> None:
    if message.header.frame_id != FRAME:
        raise BadMessage(f"a pose is in the frame {message.header.frame_id!r}; it must be {FRAME!r}: transform it")


def _read_place(message: PoseStamped, out: Array) -> None:
    out[:] = to_pixels(message.pose.position.x, message.pose.position.y)


def _read_angle(message: PoseStamped, out: Array) -> None:
    turned = np.empty(4)
    read_quaternion(message.pose.orientation, turned)
    w, x, y, z = turned
    yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    out[0] = -yaw % (2 * math.pi)


def _writer(place: str, angle: str | None) -> Callable[[Sequence[SignalInterface]], Write]:
    def make(_: Sequence[SignalInterface]) -> Write:
        message = PoseStamped()
        message.header.frame_id = FRAME
        message.pose.orientation.w = 1.0

        def write(values: Mapping[str, Array]) -> PoseStamped:
            message.pose.position.x, message.pose.position.y = to_metres(*map(float, values[place]))
            if angle is not None and angle in values:
                half = -float(values[angle][0]) / 2
                write_quaternion((math.cos(half), 0.0, 0.0, math.sin(half)), message.pose.orientation)
            return message

        return write

    return make


def _target_writer(_: CommandInterface) -> Callable[[Array], PointStamped]:
    message = PointStamped()
    message.header.frame_id = FRAME

    def write(values: Array) -> PointStamped:
        message.point.x, message.point.y = to_metres(*map(float, values))
        return message

    return write


def _target_reader(_: CommandInterface) -> Callable[[PointStamped], Array]:
    return lambda message: np.array(to_pixels(message.point.x, message.point.y))


DISC = Topic(
    name="disc_pose", message=PoseStamped, qos=SENSOR, side="robot", writer=_writer("agent_position", None),
    check=_check_frame, triggers=True,
)  # fmt: skip
BLOCK = Topic(
    name="block_pose", message=PoseStamped, qos=SENSOR, side="robot", writer=_writer("block_position", "block_angle"),
    check=_check_frame,
)  # fmt: skip

BINDINGS = RosBindings(
    signals={
        "agent_position": SignalBinding(
            unit="px", frame=FRAME, order=("x", "y"), sources=(plainly(DISC, _read_place),)
        ),
        "block_position": SignalBinding(
            unit="px", frame=FRAME, order=("block_x", "block_y"), sources=(plainly(BLOCK, _read_place),)
        ),
        "block_angle": SignalBinding(
            unit="rad", frame=FRAME, order=("clockwise",), sources=(plainly(BLOCK, _read_angle),)
        ),
    },
    commands={
        "target_position": CommandBinding(
            topic="disc_target", unit="px", message=PointStamped, writer=_target_writer, reader=_target_reader
        )
    },
)
