"""The newest reading of every signal, as the messages bring them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from rclpy.node import Node

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.limits import Signal
from isthmus_deploy.contracts.robot_interface import SignalInterface
from isthmus_deploy.ros.bindings.binding import WXYZ, BadMessage, Read, SignalBinding, Topic
from isthmus_deploy.ros.bindings.messages import stamp_of
from isthmus_deploy.ros.bindings.table import BindingTable, bindings
from isthmus_deploy.ros.qos_mismatches import QosMismatches
from isthmus_deploy.ros.readings.reading_times import ReadingTimes
from isthmus_deploy.safety.readings.gravity import gravity_problem
from isthmus_deploy.timing.clocks import WallClock

_NEVER_NS = -(1 << 62)


class LatestValues:
    """A buffer of the latest value of every signal in a contract, and when it was taken.

    Args:
        contract: What the policy needs; `check_contract` has passed.
        table: Says how each signal comes; by default all that is registered.
        mismatches: Is told of publishers that cannot be heard.
        trust_stamps: Whether readings count from their stamps, where clocks agree; otherwise from when they come.
        max_latency_s: How late readings may come all the time, in the place of what the contract allows.
        clock: Monotonic time in nanoseconds.
        wall: Time since 1970 in nanoseconds.
    """

    def __init__(
        self,
        contract: Contract,
        table: BindingTable | None = None,
        *,
        mismatches: QosMismatches | None = None,
        trust_stamps: bool = True,
        max_latency_s: float | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self._mismatches = mismatches or QosMismatches()
        self.signals = {signal.name: np.zeros(signal.shape, signal.dtype) for signal in contract.signals}
        self._spare = {name: reading.copy() for name, reading in self.signals.items()}
        self._expires_s = {signal.name: signal.expires_s for signal in contract.signals}
        self._clock = clock
        table = table or bindings()
        self._bindings = {signal.name: table.signal(signal) for signal in contract.signals}
        self._routes = _routes(contract.signals, self._bindings)
        self._trigger = next((topic for topic in self._routes if topic.triggers), None)
        # By signal: the topic that brought it last, and when it was taken.
        self._latest: dict[str, tuple[Topic, int]] = {
            name: (topic, _NEVER_NS)
            for topic, routes in self._routes.items()
            for name, _ in routes
            if topic.expires_s is not None and topic.expiring is None
        }
        by_name = {signal.name: signal for signal in contract.signals}
        self.times = ReadingTimes(
            contract,
            {topic: [by_name[name] for name, _ in routes] for topic, routes in self._routes.items()},
            lambda: WallClock(clock=clock, wall=wall),
            trust_stamps=trust_stamps,
            max_latency_s=max_latency_s,
        )
        """When readings were taken, and how late they reach commands."""
        self.frozen = 0
        """Readings of the robot that were the same as those before, bit for bit."""
        self._orientations = [signal.name for signal in contract.signals if _is_orientation(signal)]
        self._felt: dict[Topic, Any] = {}  # the newest message of what feels accelerations
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
            events = self._mismatches.of_subscription(topic.name)
            node.create_subscription(
                topic.message, topic.name, self._receiver(topic), topic.qos, event_callbacks=events
            )

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
        """Seconds since each signal was taken; infinite for one that never did, 0 for a goal that holds."""
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
        now_ns, stamp_ns = self._clock(), stamp_of(message)
        if not self.times.is_new(topic, stamp_ns, now_ns):
            return
        routes = self._routes[topic]
        try:
            topic.check(message)
            topic.check_axes(message)
            self._check_world(topic, message)
            for name, read in routes:
                read(message, self._spare[name])
        except BadMessage as error:
            self._rejection = self._rejected[topic] = str(error)
            return
        if topic.acceleration is not None:
            self._felt[topic] = message
        taken_ns = self.times.taken_ns(topic, stamp_ns, now_ns)
        self.frozen += topic.side == "robot" and self._is_same(topic)
        for name, _ in routes:
            self.signals[name], self._spare[name] = self._spare[name], self.signals[name]
            self._latest[name] = topic, taken_ns
        if topic is self._trigger:
            self._fresh, self.triggered_ns = True, now_ns

    def gravity_problem(self) -> str | None:
        """Why the orientation cannot be right, for a robot at rest; None where nothing speaks against it."""
        for topic, message in self._felt.items():
            assert topic.acceleration is not None
            felt = np.zeros(3)
            with contextlib.suppress(BadMessage):
                topic.acceleration(message, felt)
            for name in self._orientations:
                problem = gravity_problem(felt.tolist(), self.signals[name].tolist())
                if problem:
                    return f"{topic.name} and {name}: {problem}"
        return None

    @property
    def counters(self) -> dict[str, object]:
        """What diagnostics tell of readings, by name."""
        return {**self.times.counters, "frozen_readings": self.frozen, "silent_topics": " ".join(self.expired)}

    def _is_same(self, topic: Topic) -> bool:
        """Whether a message holds what is known already; images are not compared."""
        return all(
            self._spare[name].dtype != np.uint8 and self._spare[name].tobytes() == self.signals[name].tobytes()
            for name, _ in self._routes[topic]
        )

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
        topic, taken_ns = self._latest.get(name, (None, _NEVER_NS))
        if topic is None:
            return float("inf")
        return 0.0 if topic.holds else (now_ns - taken_ns) * 1e-9

    def _silence_s(self, name: str, topic: Topic) -> float | None:
        """As the contract says, or else the topic; what is said once and holds never expires."""
        usual = topic.silence_s(name)
        if usual is None and topic.holds:
            return None
        return self._expires_s[name] or usual

    def _describe(self, name: str, binding: SignalBinding) -> str:
        topics = [source.topic for source in binding.sources]
        reasons = [f"; last refused: {self._rejected[topic]}" for topic in topics if topic in self._rejected]
        reasons += [self._mismatches.on(topic.name) for topic in topics]
        return f"{name} (topic {' or '.join(topic.name for topic in topics)}{''.join(reasons)})"


def _is_orientation(signal: Signal) -> bool:
    return signal.frame == "world_from_body" and signal.order == WXYZ and signal.max_age_s is not None


def _routes(
    signals: Sequence[SignalInterface], bound: Mapping[str, SignalBinding]
) -> dict[Topic, list[tuple[str, Read]]]:
    """Which signals to read from each topic, and how; topics in the order in which the contract needs them."""
    routes: dict[Topic, list[tuple[str, Read]]] = {}
    for signal in signals:
        for source in bound[signal.name].sources:
            routes.setdefault(source.topic, []).append((signal.name, source.reader(signal)))
    return routes
