"""A stand-in robot's readings as the messages that a policy node takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from rclpy.node import Node

from isthmus_deploy.robot_interface import RobotInterface, SignalInterface
from isthmus_deploy.ros.bindings.binding import SignalBinding, Topic, Write
from isthmus_deploy.ros.bindings.messages import set_stamp
from isthmus_deploy.ros.bindings.table import bindings
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_deploy.ros.stand_in_robot.faults import Fault
from isthmus_deploy.ros.stand_in_robot.world import Array

_JUMP = {"m": 5.0, "rad": 5.0, "rad/s": 500.0, "m/s": 50.0, "1": 5.0}  # by unit: beyond what a body can do in a period

Readings = Mapping[str, Array]


class Sensors:
    """Publishes readings on the topics that carry them; the one that starts a policy's control period comes last.

    Raises:
        Refusal: there is no topic for a signal, or nothing that writes its messages.
    """

    def __init__(self, node: Node, robot: RobotInterface) -> None:
        self._signals = sensor_topics(robot)
        trigger = next((topic for topic in self._signals if topic.triggers), next(iter(self._signals)))
        topics = sorted(self._signals, key=lambda topic: topic is trigger)
        self._write = {topic: _writer(topic)(self._signals[topic]) for topic in topics}
        self._publish = {t: node.create_publisher(t.message, t.name, t.qos).publish for t in topics}
        self._trigger = trigger

    def publish(self, stamp: Any, readings: Readings, silent: set[str]) -> int | None:
        """Send the readings, by signal name, on all topics but the silent ones.

        Returns:
            When the one went out that starts a control period, monotonic ns; None when that was silent.
        """
        sent_ns = None
        for topic, publish in self._publish.items():
            if topic.name in silent:
                continue
            message = self._write[topic](readings)
            set_stamp(message, stamp)
            sent_ns = time.monotonic_ns() if topic is self._trigger else None
            publish(message)
        return sent_ns

    def spoil(self, fault: Fault, readings: Readings) -> None:
        """Change the first element of the topic's first signal as the fault says."""
        signal = next(signals[0] for topic, signals in self._signals.items() if topic.name == fault.topic)
        if fault.kind == "nan":
            readings[signal.name][0] = np.nan
        elif fault.kind == "jump":
            readings[signal.name][0] += _JUMP[signal.unit]


def sensor_topics(robot: RobotInterface) -> dict[Topic, list[SignalInterface]]:
    """The topics on which the robot's readings go, and which of them. Raises Refusal where a signal has none."""
    topics: dict[Topic, list[SignalInterface]] = {}
    for signal in robot.signals:
        binding = _binding(signal)
        if binding.side == "robot":
            topics.setdefault(binding.sources[0].topic, []).append(signal)
    return topics


def _binding(signal: SignalInterface) -> SignalBinding:
    binding = bindings().signal(signal)
    if binding is None:
        raise Refusal(f"no topic gives {signal.name}; known signals: {', '.join(bindings().signals)}")
    return binding


def _writer(topic: Topic) -> Any:
    if topic.writer is None:
        raise Refusal(f"the binding of topic {topic.name} has no writer: a stand-in robot cannot publish it")
    return topic.writer
