"""What a hand with a peg feels and where it is to go: a force-torque sensor at the wrist, and a hole that a camera has
found.

The sensor's messages are those of ros2_control's force_torque_sensor_broadcaster. Of its two possible signs the policy
has that of what the wrist does to hold the hand, in axes with z out of the gripper and x to the moving jaw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from geometry_msgs.msg import PointStamped, WrenchStamped

from isthmus_deploy.contracts.robot_interface import SignalInterface
from isthmus_deploy.ros.bindings.binding import (
    WORLD_FRAME,
    XYZ,
    Array,
    BadMessage,
    RosBindings,
    SignalBinding,
    Topic,
    Write,
    plainly,
)
from isthmus_deploy.ros.bindings.messages import read_vector, write_vector
from isthmus_deploy.ros.qos import SENSOR

FRAME = "tool"


def _check_tool(message: WrenchStamped) -> None:
    if message.header.frame_id != FRAME:
        raise BadMessage(
            f"a wrench is in the frame {message.header.frame_id!r}; it must be {FRAME!r}, z out of the gripper and x "
            "to its moving jaw: transform it"
        )


def _check_world(message: PointStamped) -> None:
    if message.header.frame_id != WORLD_FRAME:
        frame = message.header.frame_id
        raise BadMessage(f"a hole is in the frame {frame!r}; it must be {WORLD_FRAME!r}: transform it")


def _wrench_writer(_: Sequence[SignalInterface]) -> Write:
    message = WrenchStamped()
    message.header.frame_id = FRAME

    def write(values: Mapping[str, Array]) -> WrenchStamped:
        if "wrist_force" in values:
            write_vector(values["wrist_force"], message.wrench.force)
        if "wrist_torque" in values:
            write_vector(values["wrist_torque"], message.wrench.torque)
        return message

    return write


def _hole_writer(_: Sequence[SignalInterface]) -> Write:
    message = PointStamped()
    message.header.frame_id = WORLD_FRAME

    def write(values: Mapping[str, Array]) -> PointStamped:
        write_vector(values["hole_position"], message.point)
        return message

    return write


WRENCH = Topic(
    name="force_torque_sensor_broadcaster/wrench", message=WrenchStamped, qos=SENSOR, side="robot",
    writer=_wrench_writer, check=_check_tool,
)  # fmt: skip
HOLE = Topic(
    name="hole_point", message=PointStamped, qos=SENSOR, side="robot", writer=_hole_writer, check=_check_world,
    in_world=True,
)  # fmt: skip

BINDINGS = RosBindings(
    signals={
        "wrist_force": SignalBinding(
            unit="N", frame=FRAME, order=("fx", "fy", "fz"),
            sources=(plainly(WRENCH, lambda message, out: read_vector(message.wrench.force, out)),),
        ),
        "wrist_torque": SignalBinding(
            unit="N·m", frame=FRAME, order=("tx", "ty", "tz"),
            sources=(plainly(WRENCH, lambda message, out: read_vector(message.wrench.torque, out)),),
        ),
        "hole_position": SignalBinding(
            unit="m", frame="world", order=XYZ,
            sources=(plainly(HOLE, lambda message, out: read_vector(message.point, out)),),
        ),
    },
)  # fmt: skip
