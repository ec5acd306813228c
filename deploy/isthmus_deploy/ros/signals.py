"""Which ROS topic carries which signal and command: the table of message types.

A signal of a new robot is a new line in `SIGNALS`; a command is one in `COMMANDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Imu, JointState

from isthmus_deploy.contract import Command, Contract, Signal
from isthmus_deploy.ros.joint_states import joints
from isthmus_deploy.ros.messages import BadMessage, read_quaternion, read_vector
from isthmus_deploy.ros.qos import GOAL, SENSOR
from isthmus_deploy.ros.ros2 import Refusal

XYZ = ("x", "y", "z")
WXYZ = ("w", "x", "y", "z")
BODY_FRAME = "base_link"  # REP-105

Read = Callable[[Any, NDArray[np.float32]], None]
"""`read(message, out)` writes one signal into `out`, float32; raises `BadMessage` when the message does not hold it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Topic:
    """One topic of the robot or of its operator.

    `check` raises `BadMessage` for a message that must not be used. `holds`: what it says stays true until it is
    replaced, so it does not age. `expires_s`: it must be said again and again; after so long a silence its signals are
    zero, and they are zero until it is first heard.
    """

    name: str
    message: type
    qos: QoSProfile
    side: Literal["robot", "operator"]
    check: Callable[[Any], None] = lambda message: None
    holds: bool = False
    expires_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """How one signal is read from a topic's messages: `reader(signal)` makes what reads it as the contract wants it."""

    topic: Topic
    reader: Callable[[Signal], Read]


def plainly(topic: Topic, read: Read) -> Source:
    """A source whose messages hold the signal in one way only, whatever the contract says."""
    return Source(topic=topic, reader=lambda _: read)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the ROS side delivers for one signal. With several sources, the message that came last counts.

    `order` is None where messages name their elements: these come in whatever order the contract has.
    """

    unit: str
    frame: str
    order: tuple[str, ...] | None
    sources: tuple[Source, ...]


@dataclass(frozen=True, kw_only=True)
class Sink:
    """Where one command goes: a `std_msgs/Float64MultiArray` with the command's elements in the contract's order."""

    topic: str
    unit: str


def _check_twist_in_body(message: Odometry) -> None:
    if message.child_frame_id == message.header.frame_id:
        raise BadMessage(
            f"odom: child_frame_id is {message.child_frame_id!r} like the header's frame_id, so its twist is not in "
            "the body frame (nav_msgs/Odometry: child_frame_id is the body)"
        )


def _check_twist_in_world(message: Odometry) -> None:
    if message.child_frame_id != message.header.frame_id:
        raise BadMessage(
            f"reference: child_frame_id is {message.child_frame_id!r}, header.frame_id {message.header.frame_id!r}; "
            "both must be the world frame, since the reference velocity is in the world frame"
        )


def _check_body_frame(message: TwistStamped) -> None:
    if message.header.frame_id not in ("", BODY_FRAME):
        raise BadMessage(
            f"cmd_vel: header.frame_id is {message.header.frame_id!r}; a walking velocity is in the body frame, "
            f"{BODY_FRAME!r} or ''"
        )


ODOM = Topic(name="odom", message=Odometry, qos=SENSOR, side="robot", check=_check_twist_in_body)
IMU = Topic(name="imu", message=Imu, qos=SENSOR, side="robot")
JOINT_STATES = Topic(name="joint_states", message=JointState, qos=SENSOR, side="robot")
REFERENCE = Topic(name="reference", message=Odometry, qos=SENSOR, side="operator", check=_check_twist_in_world)
GOAL_POSE = Topic(name="goal_pose", message=PoseStamped, qos=GOAL, side="operator", holds=True)
# A person's hand on a stick: when it is gone, so is what it asked for, and the robot stands.
CMD_VEL = Topic(
    name="cmd_vel",
    message=TwistStamped,
    qos=SENSOR,
    side="operator",
    check=_check_body_frame,
    holds=True,
    expires_s=0.5,
)

PACERS = (JOINT_STATES, ODOM)
"""The first of these that a contract reads starts its control periods."""


def _stand_still(_: PoseStamped, out: NDArray[np.float32]) -> None:
    out.fill(0.0)


def _read_orientation(message: Imu, out: NDArray[np.float32]) -> None:
    if message.orientation_covariance[0] == -1.0:  # sensor_msgs/Imu: the sensor does not give it
        raise BadMessage("imu: orientation_covariance[0] is -1: this IMU gives no orientation, which the policy needs")
    read_quaternion(message.orientation, out)


def _read_walk(message: TwistStamped, out: NDArray[np.float32]) -> None:
    out[0], out[1] = message.twist.linear.x, message.twist.linear.y


def _read_yaw_rate(message: TwistStamped, out: NDArray[np.float32]) -> None:
    out[0] = message.twist.angular.z


SIGNALS: dict[str, Reading] = {
    "position": Reading(
        unit="m", frame="world", order=XYZ,
        sources=(plainly(ODOM, lambda message, out: read_vector(message.pose.pose.position, out)),),
    ),
    "orientation": Reading(
        unit="1", frame="world_from_body", order=WXYZ,
        sources=(plainly(ODOM, lambda message, out: read_quaternion(message.pose.pose.orientation, out)),),
    ),
    "linear_velocity": Reading(
        unit="m/s", frame="body", order=XYZ,
        sources=(plainly(ODOM, lambda message, out: read_vector(message.twist.twist.linear, out)),),
    ),
    "angular_velocity": Reading(
        unit="rad/s", frame="body", order=XYZ,
        sources=(plainly(IMU, lambda message, out: read_vector(message.angular_velocity, out)),),
    ),
    "imu_orientation": Reading(
        unit="1", frame="world_from_body", order=WXYZ, sources=(plainly(IMU, _read_orientation),),
    ),
    "joint_position": Reading(
        unit="rad", frame="joint", order=None, sources=(Source(topic=JOINT_STATES, reader=joints("position")),),
    ),
    "joint_velocity": Reading(
        unit="rad/s", frame="joint", order=None, sources=(Source(topic=JOINT_STATES, reader=joints("velocity")),),
    ),
    "reference_position": Reading(
        unit="m", frame="world", order=XYZ,
        sources=(
            plainly(REFERENCE, lambda message, out: read_vector(message.pose.pose.position, out)),
            plainly(GOAL_POSE, lambda message, out: read_vector(message.pose.position, out)),
        ),
    ),
    "reference_velocity": Reading(
        unit="m/s", frame="world", order=XYZ,
        sources=(
            plainly(REFERENCE, lambda message, out: read_vector(message.twist.twist.linear, out)),
            plainly(GOAL_POSE, _stand_still),
        ),
    ),
    "linear_velocity_command": Reading(
        unit="m/s", frame="body", order=("x", "y"), sources=(plainly(CMD_VEL, _read_walk),),
    ),
    "yaw_rate_command": Reading(
        unit="rad/s", frame="body", order=("z",), sources=(plainly(CMD_VEL, _read_yaw_rate),),
    ),
}  # fmt: skip

COMMANDS: dict[str, Sink] = {
    "rotor_speed": Sink(topic="rotor_controller/commands", unit="rad/s"),
    "joint_position_target": Sink(topic="forward_position_controller/commands", unit="rad"),
}


def check_contract(contract: Contract) -> None:
    """Refuse a contract with signals or commands that no topic carries, or carries otherwise.

    Raises:
        Refusal: naming every line that differs, and the valid names.
    """
    lines = [line for signal in contract.signals for line in _signal_problems(signal)]
    lines += [line for command in contract.commands for line in _command_problems(command)]
    if lines:
        raise Refusal("the policy's contract does not fit the ROS topics:\n  " + "\n  ".join(lines))


def _signal_problems(signal: Signal) -> list[str]:
    reading = SIGNALS.get(signal.name)
    if reading is None:
        return [f"signals.{signal.name}: no topic gives it; known signals: {', '.join(SIGNALS)}"]
    order = signal.order if reading.order is None else reading.order
    wanted = {"shape": (len(order),), "unit": reading.unit, "frame": reading.frame, "order": order}
    return [
        f"signals.{signal.name}.{field}: contract {getattr(signal, field)}, ROS {value}"
        for field, value in wanted.items()
        if getattr(signal, field) != value
    ]


def _command_problems(command: Command) -> list[str]:
    sink = COMMANDS.get(command.name)
    if sink is None:
        return [f"commands.{command.name}: no topic takes it; known commands: {', '.join(COMMANDS)}"]
    if command.unit != sink.unit:
        return [f"commands.{command.name}.unit: contract {command.unit}, ROS {sink.unit}"]
    return []
