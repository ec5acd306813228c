"""Joints by name: drivers list them in an order of their own, and often more of them than a policy uses."""

from __future__ import annotations

import array
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import JointState

from isthmus_deploy.contracts.robot_interface import SignalInterface
from isthmus_deploy.ros.bindings.binding import (
    Array,
    BadMessage,
    CommandBinding,
    RosBindings,
    SignalBinding,
    Source,
    Topic,
    Write,
)
from isthmus_deploy.ros.qos import GOAL, SENSOR

Field = Literal["position", "velocity"]


class JointReader:
    """Writes one field of a JointState in the order of `joints` into an array (n,).

    Which place holds which joint is worked out once, and again only when a message names its joints otherwise.

    Args:
        topic: Name of the topic, for messages.
        field: What is read.
        joints: Their names, in the order of the array.
    """

    def __init__(self, topic: str, field: Field, joints: Sequence[str]) -> None:
        self._topic = topic
        self._field: Field = field
        self._joints = joints
        self._names: list[str] | None = None
        self._places = np.zeros(0, np.intp)

    def __call__(self, message: JointState, out: Array) -> None:
        """Raises `BadMessage` when a joint is missing or named twice, or the field is not there for all joints."""
        names = list(message.name)
        if names != self._names:
            self._places = _places(self._topic, self._joints, names)
            self._names = names
        values = np.asarray(getattr(message, self._field))
        if len(values) != len(names):
            raise BadMessage(f"{self._topic}: {len(names)} names, but {len(values)} values in {self._field}")
        out[:] = values[self._places]


def _places(topic: str, joints: Sequence[str], names: list[str]) -> NDArray[np.intp]:
    for joint in joints:
        if names.count(joint) != 1:
            problem = "names it twice" if joint in names else f"has only {', '.join(names) or 'no names'}"
            raise BadMessage(f"{topic}: the policy needs joint {joint}, the message {problem}")
    return np.array([names.index(joint) for joint in joints], dtype=np.intp)


def _source(topic: Topic, field: Field) -> Source:
    return Source(topic=topic, reader=lambda signal: JointReader(topic.name, field, signal.order))


def _writer(fields: Mapping[str, Field]) -> Callable[[Sequence[SignalInterface]], Write]:
    """Writes signals into their fields, by signal name; joints by the alphabet, as no contract has them: who reads by
    place and not by name is found out. A field is NaN for the joints of which only another one is known, as ROS's
    joint_state_broadcaster has it."""

    def writer(signals: Sequence[SignalInterface]) -> Write:
        names = sorted({name for signal in signals for name in signal.order})
        places = {signal.name: [names.index(name) for name in signal.order] for signal in signals}
        message = JointState(name=names)

        def write(values: Mapping[str, Array]) -> JointState:
            for name, its_places in places.items():
                numbers = np.full(len(names), np.nan)
                numbers[its_places] = values[name]
                setattr(message, fields[name], array.array("d", numbers.tobytes()))
            return message

        return write

    return writer


JOINT_STATES = Topic(
    name="joint_states", message=JointState, qos=SENSOR, side="robot", triggers=True,
    writer=_writer({"joint_position": "position", "joint_velocity": "velocity"}),
)  # fmt: skip
JOINT_GOAL = Topic(
    name="joint_goal", message=JointState, qos=GOAL, side="operator", holds=True,
    writer=_writer({"joint_position_goal": "position"}),
)  # fmt: skip

BINDINGS = RosBindings(
    signals={
        "joint_position": SignalBinding(
            unit="rad", frame="joint", order=None, sources=(_source(JOINT_STATES, "position"),)
        ),
        "joint_velocity": SignalBinding(
            unit="rad/s", frame="joint", order=None, sources=(_source(JOINT_STATES, "velocity"),)
        ),
        "joint_position_goal": SignalBinding(
            unit="rad", frame="joint", order=None, sources=(_source(JOINT_GOAL, "position"),)
        ),
    },
    commands={
        "joint_position_target": CommandBinding(topic="forward_position_controller/commands", unit="rad"),
        "joint_torque": CommandBinding(topic="forward_effort_controller/commands", unit="N·m"),
    },
)
