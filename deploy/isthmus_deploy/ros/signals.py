"""Which ROS topic carries which signal and command: the only place that knows message types.

A signal of a new robot is a new line in `SIGNALS`; a command is one in `COMMANDS`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Imu

from isthmus_deploy.contract import Command, Contract, Signal
from isthmus_deploy.ros.messages import read_quaternion, read_vector
from isthmus_deploy.ros.qos import GOAL, SENSOR
from isthmus_deploy.ros.ros2 import Refusal

XYZ = ("x", "y", "z")
WXYZ = ("w", "x", "y", "z")


class BadMessage(ValueError):  # noqa: N818
    """A message that cannot be what its topic is for, such as a velocity in another frame."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Topic:
    """One topic of the robot or of its operator.

    `check` raises `BadMessage` for a message that must not be used. `holds`: what it says stays true until it is
    replaced, so it does not age. `paces`: its arrival starts a control period.
    """

    name: str
    message: type
    qos: QoSProfile
    side: Literal["robot", "operator"]
    check: Callable[[Any], None] = lambda message: None
    holds: bool = False
    paces: bool = False


@dataclass(frozen=True, kw_only=True)
class Source:
    """How one signal is read from a message: `read(message, out)` writes into `out`, float32."""

    topic: Topic
    read: Callable[[Any, NDArray[np.float32]], None]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the ROS side delivers for one signal. With several sources, the message that came last counts."""

    unit: str
    frame: str
    order: tuple[str, ...]
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


ODOM = Topic(name="odom", message=Odometry, qos=SENSOR, side="robot", check=_check_twist_in_body, paces=True)
IMU = Topic(name="imu", message=Imu, qos=SENSOR, side="robot")
REFERENCE = Topic(name="reference", message=Odometry, qos=SENSOR, side="operator", check=_check_twist_in_world)
GOAL_POSE = Topic(name="goal_pose", message=PoseStamped, qos=GOAL, side="operator", holds=True)


def _stand_still(_: PoseStamped, out: NDArray[np.float32]) -> None:
    out.fill(0.0)


SIGNALS: dict[str, Reading] = {
    "position": Reading(
        unit="m", frame="world", order=XYZ,
        sources=(Source(topic=ODOM, read=lambda message, out: read_vector(message.pose.pose.position, out)),),
    ),
    "orientation": Reading(
        unit="1", frame="world_from_body", order=WXYZ,
        sources=(Source(topic=ODOM, read=lambda message, out: read_quaternion(message.pose.pose.orientation, out)),),
    ),
    "linear_velocity": Reading(
        unit="m/s", frame="body", order=XYZ,
        sources=(Source(topic=ODOM, read=lambda message, out: read_vector(message.twist.twist.linear, out)),),
    ),
    "angular_velocity": Reading(
        unit="rad/s", frame="body", order=XYZ,
        sources=(Source(topic=IMU, read=lambda message, out: read_vector(message.angular_velocity, out)),),
    ),
    "reference_position": Reading(
        unit="m", frame="world", order=XYZ,
        sources=(
            Source(topic=REFERENCE, read=lambda message, out: read_vector(message.pose.pose.position, out)),
            Source(topic=GOAL_POSE, read=lambda message, out: read_vector(message.pose.position, out)),
        ),
    ),
    "reference_velocity": Reading(
        unit="m/s", frame="world", order=XYZ,
        sources=(
            Source(topic=REFERENCE, read=lambda message, out: read_vector(message.twist.twist.linear, out)),
            Source(topic=GOAL_POSE, read=_stand_still),
        ),
    ),
}  # fmt: skip

COMMANDS: dict[str, Sink] = {"rotor_speed": Sink(topic="rotor_controller/commands", unit="rad/s")}


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
    wanted = {"shape": (len(reading.order),), "unit": reading.unit, "frame": reading.frame, "order": reading.order}
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


class Inbox:
    """The newest reading of every signal in a contract, and when it came.

    Args:
        contract: What the policy needs; `check_contract` has passed.
        clock: Monotonic time in nanoseconds.
    """

    def __init__(self, contract: Contract, *, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.signals = {signal.name: np.zeros(signal.shape, np.float32) for signal in contract.signals}
        self._clock = clock
        self._arrived_ns: dict[str, int] = {}
        self._held: set[str] = set()
        self._stamps: dict[str, tuple[int, int]] = {}
        self._routes = _routes(self.signals)
        self._fresh = False
        self._rejection: str | None = None
        self.paced_ns = 0
        """When the reading came that started the latest control period."""

    def subscribe(self, node: Node) -> None:
        """Receive from every topic that carries one of the signals."""
        for topic in self._routes:
            node.create_subscription(topic.message, topic.name, self._receiver(topic), topic.qos)

    def take_reading(self) -> bool:
        """Whether a reading that starts a control period has come since the last call."""
        fresh, self._fresh = self._fresh, False
        return fresh

    def take_rejection(self) -> str | None:
        """Why a message was not used since the last call; None when all were."""
        rejection, self._rejection = self._rejection, None
        return rejection

    def ages_s(self, now_ns: int) -> dict[str, float]:
        """Seconds since each signal arrived; infinite for one that never did, 0 for a goal that holds."""
        return {name: self._age_s(name, now_ns) for name in self.signals}

    def missing(self, side: Literal["robot", "operator"]) -> list[str]:
        """Signals of that side that have never arrived, with the topics that could bring them."""
        return [
            f"{name} (topic {' or '.join(source.topic.name for source in SIGNALS[name].sources)})"
            for name in self.signals
            if name not in self._arrived_ns and SIGNALS[name].sources[0].topic.side == side
        ]

    def receive(self, topic: Topic, message: Any) -> None:
        """Take a message of `topic`.

        One with its predecessor's time stamp is no new reading: a driver that repeats itself is as good as silent.
        """
        stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
        if stamp != (0, 0) and stamp == self._stamps.get(topic.name):
            return
        self._stamps[topic.name] = stamp
        try:
            topic.check(message)
        except BadMessage as error:
            self._rejection = str(error)
            return
        now_ns = self._clock()
        for name, source in self._routes[topic]:
            source.read(message, self.signals[name])
            self._arrived_ns[name] = now_ns
            (self._held.add if topic.holds else self._held.discard)(name)
        if topic.paces:
            self._fresh, self.paced_ns = True, now_ns

    def _receiver(self, topic: Topic) -> Callable[[Any], None]:
        return lambda message: self.receive(topic, message)

    def _age_s(self, name: str, now_ns: int) -> float:
        if name in self._held:
            return 0.0
        arrived_ns = self._arrived_ns.get(name)
        return float("inf") if arrived_ns is None else (now_ns - arrived_ns) * 1e-9


def _routes(names: Iterable[str]) -> dict[Topic, list[tuple[str, Source]]]:
    """Which signals to read from each topic."""
    routes: dict[Topic, list[tuple[str, Source]]] = {}
    for name in names:
        for source in SIGNALS[name].sources:
            routes.setdefault(source.topic, []).append((name, source))
    return routes
