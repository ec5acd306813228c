"""A robot's readings as a page needs them: now and then, whatever their rate."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.serialization import deserialize_message

from isthmus_deploy.contracts.robot_interface import SignalInterface
from isthmus_deploy.ros import qos
from isthmus_deploy.ros.bindings.binding import BadMessage, Read, Topic
from isthmus_deploy.ros.bindings.table import BindingTable
from isthmus_deploy.ros.page.bars import Reading
from isthmus_deploy.ros.ros2 import Refusal


class Readings:
    """Keeps the newest message of each topic as it came, unread; `look` reads each once.

    Images are not heard at all. Best effort: nobody ever waits for this reader.

    Args:
        node: Subscribes.
        signals: What the robot gives.
        table: How each comes.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self,
        node: Node,
        signals: Sequence[SignalInterface],
        table: BindingTable,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node, self._clock = node, clock
        self.signals = [signal for signal in signals if signal.dtype != "uint8" and _carried(signal, table)]
        """The signals that a topic carries."""
        self._routes: dict[Topic, list[tuple[SignalInterface, Read]]] = {}
        for signal in self.signals:
            for source in table.signal(signal).sources:
                self._routes.setdefault(source.topic, []).append((signal, source.reader(signal)))
        self._newest: dict[Topic, tuple[bytes, float]] = {}
        self._seen: dict[str, tuple[np.ndarray, float, str]] = {}
        self._subscriptions = [
            node.create_subscription(topic.message, topic.name, self._receiver(topic), qos.SENSOR, raw=True)
            for topic in self._routes
        ]

    def look(self) -> dict[str, Reading]:
        """The newest reading of each signal that has come."""
        newest, self._newest = self._newest, {}
        for topic, (packed, came_s) in sorted(newest.items(), key=lambda item: item[1][1]):
            message = deserialize_message(packed, topic.message)
            for signal, read in self._routes[topic]:
                self._seen[signal.name] = _values(topic, message, signal, read, came_s)
        now_s = self._clock()
        return {
            name: Reading(values=values, age_s=now_s - came_s, problem=problem)
            for name, (values, came_s, problem) in self._seen.items()
        }

    def close(self) -> None:
        """Hear no more."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _receiver(self, topic: Topic) -> Callable[[Any], None]:
        def receive(packed: Any) -> None:
            self._newest[topic] = packed, self._clock()

        return receive


def _carried(signal: SignalInterface, table: BindingTable) -> bool:
    try:
        table.signal(signal)
    except Refusal:  # a policy node that needs it says so; the page shows what there is
        return False
    return True


def _values(
    topic: Topic, message: Any, signal: SignalInterface, read: Read, came_s: float
) -> tuple[np.ndarray, float, str]:
    """What a message says of a signal, when it came, and why it may not be used."""
    values = np.full(signal.shape, np.nan)
    try:
        topic.check(message)
        topic.check_axes(message)
        read(message, values)
    except BadMessage as error:
        return values, came_s, str(error)
    return values, came_s, ""
