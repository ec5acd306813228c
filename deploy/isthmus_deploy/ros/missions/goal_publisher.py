"""What an operator asks for, on the topics that carry it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node

from isthmus_deploy.contracts.robot_interface import SignalInterface
from isthmus_deploy.ros.bindings.binding import Topic, Write
from isthmus_deploy.ros.bindings.messages import set_stamp
from isthmus_deploy.ros.bindings.table import bindings
from isthmus_deploy.ros.ros2 import Refusal


class GoalPublisher:
    """Publishes goals, all signals of one topic in one message.

    Args:
        node: Sends them.
        signals: The goals.

    Raises:
        Refusal: a signal is no goal, or nothing writes its topic's messages.
    """

    def __init__(self, node: Node, signals: Sequence[SignalInterface]) -> None:
        carried: dict[Topic, list[SignalInterface]] = {}
        for signal in signals:
            carried.setdefault(_topic(signal), []).append(signal)
        self._writes = {topic: _write(topic, items) for topic, items in carried.items()}
        self._publishers = {topic: node.create_publisher(topic.message, topic.name, topic.qos) for topic in carried}

    def send(self, goals: Mapping[str, NDArray[np.float64]], stamp: Any) -> None:
        """Ask for the goals, by signal name, now."""
        for topic, publisher in self._publishers.items():
            message = self._writes[topic](goals)
            set_stamp(message, stamp)
            publisher.publish(message)

    @property
    def unheard(self) -> list[str]:
        """Topics to which nobody listens."""
        return [topic.name for topic, publisher in self._publishers.items() if not publisher.get_subscription_count()]


def _topic(signal: SignalInterface) -> Topic:
    binding = bindings().signal(signal)
    if binding.side != "operator":
        goals = [name for name, known in bindings().signals.items() if known.side == "operator"]
        raise Refusal(f"{signal.name} is no goal that an operator gives; goals are {', '.join(goals)}")
    return binding.sources[0].topic


def _write(topic: Topic, signals: Sequence[SignalInterface]) -> Write:
    if topic.writer is None:
        raise Refusal(f"the binding of topic {topic.name} has no writer: a mission cannot ask on it")
    return topic.writer(signals)
