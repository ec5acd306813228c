"""The fixed-rate loop: absolute monotonic deadlines, in phase with the sensor, and what it says of its own timing."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from isthmus_deploy.timing.clocks import RunningMinimum
from isthmus_deploy.timing.histogram import LatencyHistogram

_PHASE_GAIN = 0.1
"""Share of the measured phase error that one cycle corrects."""
_PHASE_LIMIT = 0.02
"""Largest correction of one cycle, as a fraction of the period: one odd reading must not move the grid."""

_RECENT_NS = 1_000_000_000

Clock = Callable[[], int]
"""Monotonic time in nanoseconds, such as `time.monotonic_ns`."""


class SectionTimer:
    """Where the time of a cycle goes, by name.

    Args:
        sections: Names, in the order of a cycle.
        clock: Monotonic time in nanoseconds.
    """

    def __init__(self, sections: Sequence[str], *, clock: Clock = time.monotonic_ns):
        self._clock = clock
        self._histograms = {name: LatencyHistogram() for name in sections}
        self._mark_ns = clock()

    def begin(self) -> None:
        """Start the first section of a cycle."""
        self._mark_ns = self._clock()

    def end(self, section: str) -> None:
        """End this section, which is where the next one starts.

        Raises:
            KeyError: the name is not one of the sections.
        """
        now = self._clock()
        self._histograms[section].record(now - self._mark_ns)
        self._mark_ns = now

    def summary(self) -> dict[str, dict[str, Any]]:
        """Summary of each section's histogram, by name."""
        return {name: histogram.summary() for name, histogram in self._histograms.items()}


class ReadingEvent:
    """Set by the thread that receives readings, waited for by the loop; every `wait` that succeeds uses it up."""

    def __init__(self):
        self._event = threading.Event()

    def set(self) -> None:
        """A reading has arrived."""
        self._event.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for a reading at most this long. Returns whether one has arrived since the last one that was used up."""
        if not self._event.wait(timeout_s):
            return False
        self._event.clear()
        return True


class ControlLoop:
    """Calls `tick` once per control period, as soon as the reading that belongs to the period is there.

    Readings are expected on a grid of absolute times. A cycle waits for its reading until the expected time plus
    `slack_s` and then ticks without it. The grid moves by exactly one period a cycle; readings pull it gently into
    their phase, so that the robot's clock and this one may drift apart. Work that takes longer than a period makes the
    grid skip whole periods: missed ticks are counted, never made up for.

    Args:
        period_s: Control period.
        tick: The work of one cycle; is given the monotonic time in nanoseconds.
        wait: Waits for the next reading for at most the given seconds; True when one came (and uses it up). Usually
            `ReadingEvent.wait`.
        slack_s: How long after its expected time a reading is still waited for.
        clock: Monotonic time in nanoseconds.
    """

    def __init__(
        self,
        *,
        period_s: float,
        tick: Callable[[int], None],
        wait: Callable[[float], bool],
        slack_s: float = 0.002,
        clock: Clock = time.monotonic_ns,
    ):
        if not 0.0 <= slack_s < period_s / 2.0:
            raise ValueError(f"slack_s must be at least 0 and below half a period ({period_s / 2.0} s), not {slack_s}")
        self._period_ns = round(period_s * 1e9)
        self._slack_ns = round(slack_s * 1e9)
        self._limit_ns = round(_PHASE_LIMIT * self._period_ns)
        self._tick = tick
        self._wait = wait
        self._clock = clock
        self._expected_ns: int | None = None
        self._last_tick_ns = 0
        self._missed_last = False
        self._last_arrival_ns = 0
        self.cycles = 0
        """Ticks so far."""
        self.missed_readings = 0
        """Ticks whose reading had not come by the deadline."""
        self.early_readings = 0
        """Readings that triggered no tick: too soon after one, or too far ahead of the grid."""
        self.overruns = 0
        """Cycles whose work ended after the next one's deadline."""
        self.skipped_periods = 0
        """Periods without a tick because of overruns."""
        self._held_up = RunningMinimum(_RECENT_NS)
        self.late_ns = 0
        """How long after its deadline this cycle began: what no sensor can cause."""
        self.wait_time = LatencyHistogram()
        """Time from the start of waiting to the tick."""
        self.work_time = LatencyHistogram()
        """Time that a tick takes."""
        self.period_error = LatencyHistogram()
        """Absolute difference between the time from tick to tick and the period."""

    def run(self, keep_going: Callable[[], bool]) -> None:
        """Cycle as long as `keep_going` says so; it is asked once a cycle, before waiting."""
        while keep_going():
            self.cycle()

    def cycle(self) -> None:
        """Wait for one reading, tick, and move the grid on."""
        begin = self._clock()
        arrived = self._wait_first(begin) if self._expected_ns is None else self._wait_for_reading()
        now = self._clock()
        if self._expected_ns is None:
            self._expected_ns = now
        self._count(arrived, now, begin)
        if arrived:
            self._pull(now - self._expected_ns)
        self._last_tick_ns = now
        self._tick(now)
        self._advance(now)

    def summary(self) -> dict[str, Any]:
        """Counters and timing, ready for JSON."""
        return {
            "cycles": self.cycles,
            "missed_readings": self.missed_readings,
            "early_readings": self.early_readings,
            "overruns": self.overruns,
            "skipped_periods": self.skipped_periods,
            "wait": self.wait_time.summary(),
            "work": self.work_time.summary(),
            "period_error": self.period_error.summary(),
        }

    @property
    def held_up_s(self) -> float:
        """The most by which a cycle of the last second or two began after its deadline, s: this machine was busy
        otherwise, or the cycle before took too long."""
        return -1e-9 * (self._held_up.value or 0)

    def _wait_first(self, begin: int) -> bool:
        """The first reading sets the phase of the grid; without one, the grid starts after one period."""
        deadline = begin + self._period_ns
        while (now := self._clock()) < deadline:
            if self._wait((deadline - now) / 1e9):
                return True
        return False

    def _wait_for_reading(self) -> bool:
        """Whether the reading of this cycle came before its deadline; too early ones are counted and ignored."""
        assert self._expected_ns is not None
        deadline = self._expected_ns + self._slack_ns
        while (now := self._clock()) < deadline:
            if not self._wait((deadline - now) / 1e9):
                continue
            arrival = self._clock()
            if self._belongs(arrival):
                return True
            self.early_readings += 1
            if self._missed_last:  # the late reading of the last cycle: it still tells the sensor's phase
                self._pull(arrival - (self._expected_ns - self._period_ns))
                self._missed_last = False
        return False

    def _belongs(self, arrival: int) -> bool:
        """Whether no later reading will be nearer to the grid, judged by the time since the reading before.

        A sensor that is faster than the loop would otherwise pull the grid forward. Ticks stay half a period apart.
        """
        assert self._expected_ns is not None
        interval = min(self._period_ns, arrival - self._last_arrival_ns)
        self._last_arrival_ns = arrival
        return arrival >= max(self._expected_ns - interval // 2, self._last_tick_ns + self._period_ns // 2)

    def _count(self, arrived: bool, now: int, begin: int) -> None:
        assert self._expected_ns is not None
        self.late_ns = max(0, now - self._expected_ns - self._slack_ns)
        self._held_up.add(-self.late_ns, now)
        self.wait_time.record(now - begin)
        if self.cycles:
            self.period_error.record(abs(now - self._last_tick_ns - self._period_ns))
        self.cycles += 1
        self.missed_readings += not arrived
        self._missed_last = not arrived

    def _pull(self, error_ns: int) -> None:
        assert self._expected_ns is not None
        correction = round(_PHASE_GAIN * error_ns)
        self._expected_ns += max(-self._limit_ns, min(self._limit_ns, correction))

    def _advance(self, begin: int) -> None:
        assert self._expected_ns is not None
        end = self._clock()
        self.work_time.record(end - begin)
        self._expected_ns += self._period_ns
        late = end - (self._expected_ns + self._slack_ns)
        if late > 0:
            self._held_up.add(-late, end)
            self._wait(0.0)  # a reading that came meanwhile is old: the next tick waits for a new one
            skipped = -(-late // self._period_ns)
            self.overruns += 1
            self.skipped_periods += skipped
            self._expected_ns += skipped * self._period_ns
