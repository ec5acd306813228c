"""The newest reading of every signal, as the messages bring them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from rclpy.node import Node

from isthmus_deploy.contract import Contract
from isthmus_deploy.robot_interface import SignalInterface
from isthmus_deploy.ros.bindings.binding import BadMessage, Read, SignalBinding, Topic
from isthmus_deploy.ros.bindings.messages import stamp_of
from isthmus_deploy.ros.bindings.table import BindingTable, bindings

_NEVER_NS = -(1 << 62)
_STEPPED = 3
"""So many messages in a row with older stamps than one before them are not late: their clock has stepped back."""


class Stamps:
    """Which messages of a topic are new, by their stamps alone: no clock of this machine is asked.

    One with its predecessor's stamp is no new reading: a driver that repeats itself is as good as silent. One that is
    older comes late, over another way or from a replay. But where several in a row are older, their clock has stepped
    back, as a time server makes it, and they are new.
    """

    def __init__(self) -> None:
        self._newest: tuple[int, int] | None = None
        self._older: list[tuple[int, int]] = []
        self.repeated = 0
        """Messages with the stamp of the one before."""
        self.late = 0
        """Messages that were older than one before and not used."""
        self.steps = 0
        """How often the clock of the stamps has stepped back."""

    def is_new(self, stamp: tuple[int, int] | None, *, ordered: bool = True) -> bool:
        """Whether a message with this stamp, s and ns, is a new reading. One without a stamp always is; where they are
        not `ordered`, also an older one."""
        if stamp is None:
            return True
        if self._newest is None or stamp > self._newest or (not ordered and stamp != self._newest):
            self._older.clear()
            self._newest = stamp
            return True
        if stamp == self._newest or stamp in self._older:
            self.repeated += 1
            return False
        self._older.append(stamp)
        if len(self._older) < _STEPPED:
            self.late += 1
            return False
        self._older.clear()
        self.steps += 1
        self._newest = stamp
        return True


class LatestValues:
    """A buffer of the latest value of every signal in a contract, and when it came.

    Args:
        contract: What the policy needs; `check_contract` has passed.
        table: Says how each signal comes; by default all that is registered.
        clock: Monotonic time in nanoseconds.
    """

    def __init__(
        self, contract: Contract, table: BindingTable | None = None, *, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.signals = {signal.name: np.zeros(signal.shape, signal.dtype) for signal in contract.signals}
        self._spare = {name: reading.copy() for name, reading in self.signals.items()}
        self._expires_s = {signal.name: signal.expires_s for signal in contract.signals}
        self._clock = clock
        table = table or bindings()
        self._bindings = {signal.name: table.signal(signal) for signal in contract.signals}
        self._routes = _routes(contract.signals, self._bindings)
        self._trigger = next((topic for topic in self._routes if topic.triggers), None)
        # By signal: the topic that brought it last, and when.
        self._latest: dict[str, tuple[Topic, int]] = {
            name: (topic, _NEVER_NS)
            for topic, routes in self._routes.items()
            for name, _ in routes
            if topic.expires_s is not None and topic.expiring is None
        }
        self._stamps: dict[Topic, Stamps] = {topic: Stamps() for topic in self._routes}
        self._fresh = False
        self._rejection: str | None = None
        self._rejected: dict[Topic, str] = {}
        self._world = ""  # what the robot calls the frame of the world
        self.triggered_ns = 0
        """When the reading came that started the latest control period."""
        self.expired: tuple[str, ...] = ()
        """Topics in whose place there is zero, as of the last `expire`."""

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

    def expire(self, now_ns: int) -> None:
        """Put zero in the place of signals that expire and whose topic has been silent for so long."""
        expired = []
        for name, (topic, arrived_ns) in self._latest.items():
            silence_s = self._silence_s(name, topic)
            if silence_s is not None and (now_ns - arrived_ns) * 1e-9 > silence_s:
                self.signals[name].fill(0)
                expired.append(topic.name)
        self.expired = tuple(dict.fromkeys(expired))

    def ages_s(self, now_ns: int) -> dict[str, float]:
        """Seconds since each signal arrived; infinite for one that never did, 0 for a goal that holds."""
        return {name: self._age_s(name, now_ns) for name in self.signals}

    def missing(self, side: Literal["robot", "operator"]) -> list[str]:
        """Signals of that side that have never arrived, with the topics that could bring them, and why they do not."""
        return [
            self._describe(name, binding)
            for name, binding in self._bindings.items()
            if name not in self._latest and binding.side == side
        ]

    def receive(self, topic: Topic, message: Any) -> None:
        """Take a message of `topic`, all of it or nothing: one that `Stamps` finds new."""
        # What is said once and holds is new whenever it comes: operators' clocks differ.
        streams = not topic.holds or topic.expires_s is not None
        if not self._stamps[topic].is_new(stamp_of(message), ordered=streams):
            return
        routes = self._routes[topic]
        try:
            topic.check(message)
            self._check_world(topic, message)
            for name, read in routes:
                read(message, self._spare[name])
        except BadMessage as error:
            self._rejection = self._rejected[topic] = str(error)
            return
        now_ns = self._clock()
        for name, _ in routes:
            self.signals[name], self._spare[name] = self._spare[name], self.signals[name]
            self._latest[name] = topic, now_ns
        if topic is self._trigger:
            self._fresh, self.triggered_ns = True, now_ns

    @property
    def counters(self) -> dict[str, object]:
        """What diagnostics tell of stamps, by name: sums over all topics."""
        return {
            "repeated_readings": sum(stamps.repeated for stamps in self._stamps.values()),
            "late_readings": sum(stamps.late for stamps in self._stamps.values()),
            "clock_steps": sum(stamps.steps for stamps in self._stamps.values()),
        }

    def _receiver(self, topic: Topic) -> Callable[[Any], None]:
        return lambda message: self.receive(topic, message)

    def _check_world(self, topic: Topic, message: Any) -> None:
        """Raise BadMessage for what an operator says in another frame than the robot's world; one that is not named is
        taken for that."""
        if not topic.in_world:
            return
        frame = message.header.frame_id
        if topic.side == "robot":
            self._world = frame
        elif frame and self._world and frame != self._world:
            raise BadMessage(f"{topic.name}: in the frame {frame!r}; the robot's world is {self._world!r}")

    def _age_s(self, name: str, now_ns: int) -> float:
        topic, arrived_ns = self._latest.get(name, (None, _NEVER_NS))
        if topic is None:
            return float("inf")
        return 0.0 if topic.holds else (now_ns - arrived_ns) * 1e-9

    def _silence_s(self, name: str, topic: Topic) -> float | None:
        """As the contract says, or else the topic; what is said once and holds never expires."""
        usual = topic.silence_s(name)
        if usual is None and topic.holds:
            return None
        return self._expires_s[name] or usual

    def _describe(self, name: str, binding: SignalBinding) -> str:
        topics = [source.topic for source in binding.sources]
        reasons = [f"; last refused: {self._rejected[topic]}" for topic in topics if topic in self._rejected]
        return f"{name} (topic {' or '.join(topic.name for topic in topics)}{''.join(reasons)})"


def _routes(
    signals: Sequence[SignalInterface], bound: Mapping[str, SignalBinding]
) -> dict[Topic, list[tuple[str, Read]]]:
    """Which signals to read from each topic, and how; topics in the order in which the contract needs them."""
    routes: dict[Topic, list[tuple[str, Read]]] = {}
    for signal in signals:
        for source in bound[signal.name].sources:
            routes.setdefault(source.topic, []).append((signal.name, source.reader(signal)))
    return routes
