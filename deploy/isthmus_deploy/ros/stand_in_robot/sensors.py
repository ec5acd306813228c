"""A stand-in robot's readings as the messages that a policy node takes: the other direction of `ros/signals.py`."""

from __future__ import annotations

import array
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import Imu, JointState

from isthmus_deploy.ros.messages import write_quaternion, write_vector
from isthmus_deploy.ros.qos import SENSOR
from isthmus_deploy.ros.signals import BODY_FRAME, IMU, JOINT_STATES, ODOM, PACERS, SIGNALS, Topic
from isthmus_deploy.ros.stand_in_robot.faults import Fault
from isthmus_deploy.ros.stand_in_robot.world import Array, Truth
from isthmus_sim.description import RobotSpec, SignalSpec

WORLD_FRAME = "world"
_JUMP = {"m": 5.0, "rad": 5.0, "rad/s": 500.0}  # by unit: beyond what a body can do in a control period

Readings = Mapping[str, Array]


class Sensors:
    """Publishes readings on the topics that carry them; the one that starts a policy's control period comes last."""

    def __init__(self, node: Node, spec: RobotSpec) -> None:
        topics = sensor_topics(spec)
        self._signals = {topic.name: _signals_of(topic, spec) for topic in topics}
        self._fill = {topic.name: _FILL[topic](self._signals[topic.name]) for topic in topics}
        self._publish = {t.name: node.create_publisher(t.message, t.name, SENSOR).publish for t in reversed(topics)}
        self._pacer = topics[0].name

    def publish(self, stamp: Any, readings: Readings, silent: set[str]) -> int | None:
        """Send the readings, by signal name, on all topics but the silent ones.

        Returns:
            When the one went out that starts a control period, monotonic ns; None when that was silent.
        """
        sent_ns = None
        for name, publish in self._publish.items():
            if name in silent:
                continue
            message = self._fill[name](stamp, readings)
            sent_ns = time.monotonic_ns() if name == self._pacer else None
            publish(message)
        return sent_ns

    def spoil(self, fault: Fault, readings: Readings) -> None:
        """Change the first element of the topic's first signal as the fault says."""
        signal = self._signals[fault.topic][0]
        if fault.kind == "nan":
            readings[signal.name][0] = np.nan
        elif fault.kind == "jump":
            readings[signal.name][0] += _JUMP[signal.unit]


def sensor_topics(spec: RobotSpec) -> list[Topic]:
    """The topics on which the robot's readings go; the one that starts a control period comes first."""
    sources = [SIGNALS[signal.name].sources[0].topic for signal in spec.signals]
    topics = dict.fromkeys(topic for topic in sources if topic.side == "robot")
    return sorted(topics, key=lambda topic: PACERS.index(topic) if topic in PACERS else len(PACERS))


def _signals_of(topic: Topic, spec: RobotSpec) -> list[SignalSpec]:
    return [signal for signal in spec.signals if SIGNALS[signal.name].sources[0].topic is topic]


# --- one message type each: how a message is filled, made once and filled again and again ---

Fill = Callable[[Any, Readings], Any]


def odometry() -> Odometry:
    """A message with the frames of the robot's."""
    message = Odometry()
    message.header.frame_id, message.child_frame_id = WORLD_FRAME, BODY_FRAME
    return message


def fill_odometry(message: Odometry, stamp: Any, body: Truth) -> Odometry:
    """Write a body's motion into a message: pose in the world, twist in the body (REP-105)."""
    message.header.stamp = stamp
    write_vector(body.position, message.pose.pose.position)
    write_quaternion(body.orientation, message.pose.pose.orientation)
    write_vector(body.linear_velocity, message.twist.twist.linear)
    write_vector(body.angular_velocity, message.twist.twist.angular)
    return message


def _fill_odom(_: Sequence[SignalSpec]) -> Fill:
    message, names = odometry(), [field.name for field in fields(Truth)]
    return lambda stamp, readings: fill_odometry(message, stamp, Truth(**{name: readings[name] for name in names}))


def _fill_imu(signals: Sequence[SignalSpec]) -> Fill:
    message = Imu()
    message.header.frame_id = BODY_FRAME
    oriented = any(signal.name == "imu_orientation" for signal in signals)
    if not oriented:
        message.orientation_covariance[0] = -1.0  # sensor_msgs/Imu: this driver gives no orientation

    def fill(stamp: Any, readings: Readings) -> Imu:
        message.header.stamp = stamp
        write_vector(readings["angular_velocity"], message.angular_velocity)
        if oriented:
            write_quaternion(readings["imu_orientation"], message.orientation)
        return message

    return fill


def _fill_joint_states(signals: Sequence[SignalSpec]) -> Fill:
    """Joints by the alphabet, as no contract has them: who reads by place and not by name is found out."""
    names = sorted(signals[0].order)
    places = [signals[0].order.index(name) for name in names]
    message = JointState(name=names)

    def fill(stamp: Any, readings: Readings) -> JointState:
        message.header.stamp = stamp
        message.position = array.array("d", readings["joint_position"][places].tobytes())
        message.velocity = array.array("d", readings["joint_velocity"][places].tobytes())
        return message

    return fill


_FILL: dict[Topic, Callable[[Sequence[SignalSpec]], Fill]] = {
    ODOM: _fill_odom,
    IMU: _fill_imu,
    JOINT_STATES: _fill_joint_states,
}
