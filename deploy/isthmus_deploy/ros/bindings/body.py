"""A free body: where it is (odom), how it turns (imu), where it is wanted (reference, goal_pose), its rotors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Imu

from isthmus_deploy.contracts.robot_interface import SignalInterface
from isthmus_deploy.ros.bindings.binding import (
    BODY_FRAME,
    WORLD_FRAME,
    WXYZ,
    XYZ,
    Array,
    BadMessage,
    CommandBinding,
    RosBindings,
    SignalBinding,
    Topic,
    Write,
    plainly,
)
from isthmus_deploy.ros.bindings.frames import check_frame
from isthmus_deploy.ros.bindings.messages import read_quaternion, read_vector, write_quaternion, write_vector
from isthmus_deploy.ros.qos import GOAL, SENSOR

_NOTHING = np.zeros(3)
"""What a message says of a place or velocity for which nobody asks."""


def _check_twist_in_body(message: Odometry) -> None:
    if not message.child_frame_id:
        raise BadMessage(
            "odom: child_frame_id is empty, so the frame of its twist is unknown; name the body's, such as "
            f"{BODY_FRAME!r}"
        )
    if message.child_frame_id == message.header.frame_id:
        raise BadMessage(
            f"odom: child_frame_id is {message.child_frame_id!r} like the header's frame_id, so its twist is not in "
            "the body frame (nav_msgs/Odometry: child_frame_id is the body)"
        )


def _check_odom_axes(message: Odometry) -> None:
    check_frame("odom", "header.frame_id", message.header.frame_id)
    check_frame("odom", "child_frame_id", message.child_frame_id)


def _check_imu_axes(message: Imu) -> None:
    check_frame("imu", "header.frame_id", message.header.frame_id)


def _read_acceleration(message: Imu, out: Array) -> None:
    if message.linear_acceleration_covariance[0] == -1.0:  # sensor_msgs/Imu: the sensor does not give it
        raise BadMessage("imu: linear_acceleration_covariance[0] is -1: this IMU gives no acceleration")
    read_vector(message.linear_acceleration, out)


def _check_twist_in_world(message: Odometry) -> None:
    if message.child_frame_id != message.header.frame_id:
        raise BadMessage(
            f"reference: child_frame_id is {message.child_frame_id!r}, header.frame_id {message.header.frame_id!r}; "
            "both must be the world frame, since the reference velocity is in the world frame"
        )


def _read_orientation(message: Imu, out: Array) -> None:
    if message.orientation_covariance[0] == -1.0:  # sensor_msgs/Imu: the sensor does not give it
        raise BadMessage("imu: orientation_covariance[0] is -1: this IMU gives no orientation, which the policy needs")
    read_quaternion(message.orientation, out)


def odometry_writer(_: Sequence[SignalInterface] = ()) -> Write:
    """Writes the motion of a body, or what is known of it: pose in the world, twist in the body (REP-105)."""
    message = Odometry()
    message.header.frame_id, message.child_frame_id = WORLD_FRAME, BODY_FRAME
    pose, twist = message.pose.pose, message.twist.twist

    def write(values: Mapping[str, Array]) -> Odometry:
        if "position" in values:
            write_vector(values["position"], pose.position)
        if "orientation" in values:
            write_quaternion(values["orientation"], pose.orientation)
        if "linear_velocity" in values:
            write_vector(values["linear_velocity"], twist.linear)
        if "angular_velocity" in values:
            write_vector(values["angular_velocity"], twist.angular)
        return message

    return write


def _imu_writer(signals: Sequence[SignalInterface]) -> Write:
    message = Imu()
    message.header.frame_id = BODY_FRAME
    names = {signal.name for signal in signals}
    if "imu_orientation" not in names:
        message.orientation_covariance[0] = -1.0  # sensor_msgs/Imu: this driver gives no orientation

    def write(values: Mapping[str, Array]) -> Imu:
        if "angular_velocity" in names:
            write_vector(values["angular_velocity"], message.angular_velocity)
        if "imu_orientation" in names:
            write_quaternion(values["imu_orientation"], message.orientation)
        return message

    return write


def _reference_writer(_: Sequence[SignalInterface]) -> Write:
    message = Odometry()
    message.header.frame_id = message.child_frame_id = WORLD_FRAME

    def write(values: Mapping[str, Array]) -> Odometry:
        write_vector(values.get("reference_position", _NOTHING), message.pose.pose.position)
        write_vector(values.get("reference_velocity", _NOTHING), message.twist.twist.linear)
        return message

    return write


ODOM = Topic(
    name="odom", message=Odometry, qos=SENSOR, side="robot", writer=odometry_writer, check=_check_twist_in_body,
    check_axes=_check_odom_axes,
    in_world=True, triggers=True,
)  # fmt: skip
IMU = Topic(
    name="imu", message=Imu, qos=SENSOR, side="robot", writer=_imu_writer, check_axes=_check_imu_axes,
    acceleration=_read_acceleration,
)  # fmt: skip
REFERENCE = Topic(
    name="reference", message=Odometry, qos=SENSOR, side="operator", writer=_reference_writer,
    check=_check_twist_in_world, in_world=True, expires_s=0.5, expiring=("reference_velocity",),
)  # fmt: skip
GOAL_POSE = Topic(name="goal_pose", message=PoseStamped, qos=GOAL, side="operator", in_world=True, holds=True)

BINDINGS = RosBindings(
    signals={
        "position": SignalBinding(
            unit="m", frame="world", order=XYZ,
            sources=(plainly(ODOM, lambda message, out: read_vector(message.pose.pose.position, out)),),
        ),
        "orientation": SignalBinding(
            unit="1", frame="world_from_body", order=WXYZ,
            sources=(plainly(ODOM, lambda message, out: read_quaternion(message.pose.pose.orientation, out)),),
        ),
        "linear_velocity": SignalBinding(
            unit="m/s", frame="body", order=XYZ,
            sources=(plainly(ODOM, lambda message, out: read_vector(message.twist.twist.linear, out)),),
        ),
        "angular_velocity": SignalBinding(
            unit="rad/s", frame="body", order=XYZ,
            sources=(plainly(IMU, lambda message, out: read_vector(message.angular_velocity, out)),),
        ),
        "imu_orientation": SignalBinding(
            unit="1", frame="world_from_body", order=WXYZ, sources=(plainly(IMU, _read_orientation),),
        ),
        "reference_position": SignalBinding(
            unit="m", frame="world", order=XYZ,
            sources=(
                plainly(REFERENCE, lambda message, out: read_vector(message.pose.pose.position, out)),
                plainly(GOAL_POSE, lambda message, out: read_vector(message.pose.position, out)),
            ),
        ),
        "reference_velocity": SignalBinding(
            unit="m/s", frame="world", order=XYZ,
            sources=(
                plainly(REFERENCE, lambda message, out: read_vector(message.twist.twist.linear, out)),
                plainly(GOAL_POSE, lambda _, out: out.fill(0.0)),
            ),
        ),
    },
    commands={"rotor_speed": CommandBinding(topic="rotor_controller/commands", unit="rad/s")},
)  # fmt: skip
