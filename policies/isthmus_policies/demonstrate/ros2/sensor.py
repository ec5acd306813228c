"""A robot's topic as a column of a dataset."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.features import Feature
from isthmus_datasets.recording.robot import RobotError, RobotLost
from isthmus_datasets.recording.ros2.topics import header_stamp_ns, subscribe, take_newest, to_monotonic_ns
from isthmus_deploy.contracts.robot_interface import RobotInterface, SignalInterface
from isthmus_deploy.ros.bindings.binding import BadMessage, Topic
from isthmus_deploy.ros.bindings.joints import JOINT_STATES
from isthmus_deploy.ros.bindings.table import bindings
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_policies.demonstrate.features import signal_column, split


class Sensor:
    """The newest reading of one topic: its signals one after the other.

    Args:
        node: Receives it.
        topic: The robot's topic.
        signals: What it carries; each has a source in that topic.
    """

    def __init__(self, node: Any, topic: Topic, signals: list[SignalInterface]) -> None:
        self.column = "state" if topic is JOINT_STATES else topic.name
        self.topic: str = node.resolve_topic_name(topic.name)
        self.feature: Feature = signal_column(signals)
        """What its values are called in a dataset."""
        self.values: NDArray[np.float32] = np.zeros(self.feature.shape, np.float32)
        self.capture_time_ns: int | None = None
        self._check, self._stamp_ns = topic.check, 0
        self.signals = signals
        self._max_age_s = min(signal.max_age_s or math.inf for signal in signals)
        self._readers = {
            signal.name: source.reader(signal)
            for signal in signals
            for source in bindings().signal(signal).sources
            if source.topic is topic
        }
        self._subscription = subscribe(node, topic.message, topic.name, topic.qos)

    def part(self, signal: SignalInterface) -> NDArray[np.float32]:
        """The values of one of the signals."""
        return split(self.signals, self.values)[signal.name]

    def update(self) -> bool:
        """Take a new message, if there is one. One with its predecessor's stamp is none: a driver that repeats itself
        is as good as silent. Raises RobotError when it is not what the topic is for."""
        taken = take_newest(self._subscription)
        if taken is None:
            return False
        message, arrived_ns = taken
        stamped_ns = header_stamp_ns(message)
        if stamped_ns and stamped_ns == self._stamp_ns:
            return False
        values = self.values.copy()
        try:
            self._check(message)
            for name, part in split(self.signals, values).items():
                self._readers[name](message, part)
            self.capture_time_ns = to_monotonic_ns(stamped_ns or arrived_ns)
        except (BadMessage, ValueError) as error:
            raise RobotError(f"topic {self.topic}: {error}") from error
        self.values, self._stamp_ns = values, stamped_ns
        return True

    @property
    def _age_s(self) -> float:
        return math.inf if self.capture_time_ns is None else 1e-9 * (time.monotonic_ns() - self.capture_time_ns)

    @property
    def stale(self) -> bool:
        """Whether the newest reading is older than the robot lets a reading be, or there is none."""
        return self._age_s > self._max_age_s

    def taken(self) -> int:
        """When the newest reading was taken. Raises RobotLost when it is older than the robot lets a reading be."""
        if self.capture_time_ns is None:
            raise RobotLost(f"topic {self.topic}: it has given nothing yet")
        age_s = self._age_s
        if age_s > self._max_age_s:
            raise RobotLost(
                f"topic {self.topic}: its newest reading is {age_s:.2f} s old, {self._max_age_s:g} s are allowed: does "
                "the robot still run, and does its clock agree with this machine's?"
            )
        return self.capture_time_ns


def sensors(node: Any, robot: RobotInterface) -> list[Sensor]:
    """One for each topic that carries numbers of the robot: goals are the operator's, images the cameras'.

    Raises:
        Refusal: no topic is known for a signal, or it has another unit or frame there.
    """
    carried: dict[Topic, list[SignalInterface]] = {}
    for signal in robot.signals:
        reading = bindings().signal(signal)
        if reading.dtype == "uint8":
            continue
        if (reading.unit, reading.frame) != (signal.unit, signal.frame):
            raise Refusal(
                f"{robot.robot}: {signal.name} is in {signal.unit}, frame {signal.frame}; its topic gives it in "
                f"{reading.unit}, frame {reading.frame}"
            )
        topic = reading.sources[0].topic
        if topic.side == "robot":
            carried.setdefault(topic, []).append(signal)
    return [Sensor(node, topic, signals) for topic, signals in carried.items()]
