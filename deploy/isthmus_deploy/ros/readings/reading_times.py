"""When readings were taken: by their stamps where these can be believed, else when they came."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.limits import Signal
from isthmus_deploy.ros.bindings.binding import Topic
from isthmus_deploy.ros.readings.stamps import Stamps
from isthmus_deploy.timing.clocks import StampClock, WallClock
from isthmus_deploy.timing.latency import SensorLatency, allowed_latency_s, trained_latency_s


class ReadingTimes:
    """The times of the readings of all topics.

    What an operator says counts from when it comes: operators' clocks differ.

    Args:
        contract: What the policy needs, and was trained for.
        topics: The signals that each topic brings.
        wall: Makes a view of this machine's wall clock.
        trust_stamps: False to take readings for new from when they come.
        max_latency_s: How late the readings of any topic may be all the time, in the place of `allowed_latency_s`.
    """

    def __init__(
        self,
        contract: Contract,
        topics: Mapping[Topic, Sequence[Signal]],
        wall: Callable[[], WallClock],
        *,
        trust_stamps: bool = True,
        max_latency_s: float | None = None,
    ) -> None:
        self._trust_stamps = trust_stamps
        self._stamps = {topic: Stamps() for topic in topics}
        sensors: list[StampClock] = []
        self._clocks = {topic: StampClock(wall(), sensors) for topic in topics if topic.side == "robot"}
        self._latencies = {
            topic: _latency(contract, topic.name, topics[topic], max_latency_s) for topic in self._clocks
        }
        self._unanswered: dict[Topic, int] = {}

    def is_new(self, topic: Topic, stamp_ns: int | None, now_ns: int) -> bool:
        """Whether a message that has just come is a new reading, as `Stamps` has it."""
        stamps, clock = self._stamps[topic], self._clocks.get(topic)
        if clock is None or stamp_ns is None:
            # What is said once and holds is new whenever it comes: operators' clocks differ.
            return stamps.is_new(stamp_ns, ordered=not topic.holds or topic.expires_s is not None)
        set_by_ns = clock.follow(stamp_ns, now_ns)
        if set_by_ns:
            stamps.shift(set_by_ns)
        steps = stamps.steps
        is_new = stamps.is_new(stamp_ns)
        if stamps.steps > steps:
            clock.forget()
        return is_new

    def taken_ns(self, topic: Topic, stamp_ns: int | None, now_ns: int) -> int:
        """When the reading in a new message was taken, monotonic; never later than now, when it came."""
        clock = self._clocks.get(topic)
        if clock is None:
            return now_ns
        latency_ns = clock.latency_ns(stamp_ns, now_ns) if stamp_ns is not None and self._trust_stamps else 0
        self._unanswered[topic] = now_ns - latency_ns
        return now_ns - latency_ns

    def answer(self, now_ns: int, held_up_ns: int = 0) -> None:
        """A command has gone out that knows all readings so far, later than it should by `held_up_ns`."""
        for topic, taken_ns in self._unanswered.items():
            self._latencies[topic].record(taken_ns, now_ns, held_up_ns)
        self._unanswered.clear()

    def problem(self, now_ns: int) -> str | None:
        """Why readings come too late to move a robot by; None where they do not."""
        for latency in self._latencies.values():
            problem = latency.problem(now_ns)
            if problem:
                return f"{problem}; {self.clocks}"
        return None

    @property
    def clocks(self) -> str:
        """What is known of the clocks of the robot's stamps, in words."""
        if not self._trust_stamps:
            return "stamps are not trusted, readings count from when they come"
        silent = [topic.name for topic, clock in self._clocks.items() if clock.agrees is None]
        others = [_difference(topic.name, clock) for topic, clock in self._clocks.items() if clock.agrees is False]
        words = [f"clocks do not agree: {', '.join(others)}"] if others else []
        words += [f"no stamps on {', '.join(silent)}"] if silent else []
        return "; ".join(words) or "clocks agree"

    @property
    def counters(self) -> dict[str, object]:
        """What diagnostics tell, by name: sums over all topics, and the latency of each."""
        told: dict[str, object] = {
            "repeated_readings": sum(stamps.repeated for stamps in self._stamps.values()),
            "late_readings": sum(stamps.late for stamps in self._stamps.values()),
            "clock_steps": sum(stamps.steps for stamps in self._stamps.values()),
            "wall_clock_steps": max((clock.wall.steps for clock in self._clocks.values()), default=0),
            "clocks": self.clocks,
        }
        return told | {f"stamp_to_command_{latency.name}": latency.summary for latency in self._latencies.values()}


def _difference(name: str, clock: StampClock) -> str:
    side = "ahead" if clock.ahead_s > 0 else "behind"
    return f"that of {name} is {abs(clock.ahead_s):.3g} s {side}"


def _latency(contract: Contract, name: str, signals: Sequence[Signal], max_latency_s: float | None) -> SensorLatency:
    trained_s = min(trained_latency_s(signal, contract.trained_latency_s) for signal in signals)
    if all(signal.max_age_s is None for signal in signals):
        return SensorLatency(name, math.inf, trained_s)
    allowed_s = allowed_latency_s(signals, contract.trained_latency_s, contract.control_period_s)
    return SensorLatency(name, allowed_s if max_latency_s is None else max_latency_s, trained_s)
