"""A stand-in robot's readings as the messages that a policy node takes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from rclpy.node import Node

from isthmus_deploy.contracts.robot_interface import RobotInterface, SignalInterface
from isthmus_deploy.ros.bindings.binding import Topic, Write
from isthmus_deploy.ros.bindings.messages import set_stamp
from isthmus_deploy.ros.bindings.table import BindingTable, bindings
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_deploy.ros.stand_in_robot.faults import Fault
from isthmus_deploy.ros.stand_in_robot.worlds.world import Array

_LATE_PERIODS = 6
_JUMP = {"m": 5.0, "rad": 5.0, "rad/s": 500.0}  # by unit: beyond what a body can do in a control period

Readings = Mapping[str, Array]


class Sensors:
    """Publishes readings on the topics that carry them; the one that starts a policy's control period comes last.

    Raises:
        Refusal: there is no topic for a signal, or nothing that writes its messages.
    """

    def __init__(self, node: Node, robot: RobotInterface, table: BindingTable | None = None) -> None:
        self._signals = sensor_topics(robot, table)
        self._trigger, *others = self._signals
        self._write = {topic: _write(topic, self._signals[topic]) for topic in (*others, self._trigger)}
        self._frozen: dict[Topic, Readings] = {}
        self._under_way: dict[Topic, deque[tuple[Any, Readings]]] = {}
        self._publish = {t: node.create_publisher(t.message, t.name, t.qos).publish for t in self._write}

    def publish(
        self, stamp: Any, readings: Readings, silent: Collection[str] = (), late: Collection[str] = ()
    ) -> int | None:
        """Send the readings, by signal name, on all topics but the silent ones; on late ones those of some periods ago.

        Returns:
            When the one went out that starts a control period, monotonic ns; None when that was silent.
        """
        sent_ns = None
        for topic, publish in self._publish.items():
            if topic.name in silent:
                continue
            sent_stamp, sent = stamp, readings
            if topic.name in late:
                queue = self._under_way.setdefault(topic, deque(maxlen=_LATE_PERIODS + 1))
                queue.append((stamp, readings))
                sent_stamp, sent = queue[0]
            message = self._write[topic](sent)
            set_stamp(message, sent_stamp)
            sent_ns = time.monotonic_ns() if topic is self._trigger else None
            publish(message)
        return sent_ns

    def spoil(self, fault: Fault, readings: dict[str, Array]) -> None:
        """Change the first element of the topic's first signal as the fault says, or leave all of them as they were."""
        topic, signals = next(item for item in self._signals.items() if item[0].name == fault.topic)
        signal = signals[0]
        if fault.kind == "nan":
            readings[signal.name][0] = np.nan
        elif fault.kind == "jump":
            readings[signal.name][0] += _JUMP.get(signal.unit, 5.0)
        elif fault.kind == "freeze":
            frozen = self._frozen.setdefault(topic, {signal.name: readings[signal.name] for signal in signals})
            readings.update(frozen)


def sensor_topics(robot: RobotInterface, table: BindingTable | None = None) -> dict[Topic, list[SignalInterface]]:
    """The topics on which the robot's readings go, and which; the one that starts a policy's control periods is first.

    Raises:
        Refusal: a signal has no topic, or the robot measures nothing.
    """
    topics: dict[Topic, list[SignalInterface]] = {}
    for signal in robot.signals:
        binding = (table or bindings()).signal(signal)
        if binding.side == "robot":
            topics.setdefault(binding.sources[0].topic, []).append(signal)
    if not topics:
        raise Refusal(f"{robot.robot} measures nothing")
    trigger = next((topic for topic in topics if topic.triggers), next(iter(topics)))
    return {trigger: topics[trigger], **topics}


def image_topics(topics: Mapping[Topic, Sequence[SignalInterface]]) -> list[str]:
    """The names of the topics that carry an image."""
    return [topic.name for topic, signals in topics.items() if any(signal.dtype == "uint8" for signal in signals)]


def _write(topic: Topic, signals: Sequence[SignalInterface]) -> Write:
    if topic.writer is None:
        raise Refusal(f"the binding of topic {topic.name} has no writer: a stand-in robot cannot publish it")
    return topic.writer(signals)
