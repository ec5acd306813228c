"""A fixed rate on absolute deadlines, and how well it was kept."""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Clock(Protocol):
    """Monotonic time."""

    def now_ns(self) -> int:
        """Since some fixed moment."""
        ...

    def sleep_until(self, time_ns: int) -> None:
        """Return at that time, or at once if it has passed."""
        ...


class WallClock:
    """The time that a robot lives in."""

    def now_ns(self) -> int:
        """`time.monotonic_ns`."""
        return time.monotonic_ns()

    def sleep_until(self, time_ns: int) -> None:
        """Sleep."""
        while (left := time_ns - time.monotonic_ns()) > 0:
            time.sleep(left / 1e9)


class VirtualClock:
    """Time that passes only by sleeping, in no time: for simulated robots that nobody watches."""

    def __init__(self) -> None:
        self._now_ns = 0

    def now_ns(self) -> int:
        """What was slept so far."""
        return self._now_ns

    def sleep_until(self, time_ns: int) -> None:
        """It is that time now."""
        self._now_ns = max(self._now_ns, time_ns)


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One deadline. interval_ns: since the tick before, None at the first; overrun: the work before it took too long;
    skipped: deadlines that passed meanwhile."""

    interval_ns: int | None
    overrun: bool
    skipped: int


class Rate:
    """Deadlines at start + k / rate, which do not drift. Those that have passed are skipped, never made up for.

    Args:
        rate_hz: Deadlines per second.
        clock: The time that they are in.
    """

    def __init__(self, rate_hz: int, clock: Clock) -> None:
        self.rate_hz, self._clock = rate_hz, clock
        self.start()

    def start(self) -> None:
        """The first deadline is now."""
        self._start_ns, self._next, self._last_ns = self._clock.now_ns(), 0, None

    def wait(self) -> Tick:
        """Sleep until the next deadline."""
        late_ns = self._clock.now_ns() - self._deadline_ns(self._next)
        skipped = max(0, late_ns * self.rate_hz // 10**9)
        self._next += skipped + 1
        if late_ns <= 0:
            self._clock.sleep_until(self._deadline_ns(self._next - 1))
        now, last = self._clock.now_ns(), self._last_ns
        self._last_ns = now
        return Tick(
            interval_ns=None if last is None else now - last, overrun=last is not None and late_ns > 0, skipped=skipped
        )

    def _deadline_ns(self, number: int) -> int:
        return self._start_ns + number * 10**9 // self.rate_hz


class Timing:
    """How well some ticks kept the rate.

    Args:
        rate_hz: Rate of the ticks.
    """

    def __init__(self, rate_hz: int) -> None:
        self._period_ns = 10**9 / rate_hz
        self._intervals_ns = array("q")
        self.overruns = 0
        """Steps whose work was not done by the next deadline."""
        self.skipped = 0
        """Deadlines at which there was no step because of that."""

    def add(self, tick: Tick) -> None:
        """Count a tick that is not the first one."""
        assert tick.interval_ns is not None
        self._intervals_ns.append(tick.interval_ns)
        self.overruns += tick.overrun
        self.skipped += tick.skipped

    def include(self, other: Timing) -> None:
        """Count all that `other` has."""
        self._intervals_ns.extend(other._intervals_ns)
        self.overruns += other.overruns
        self.skipped += other.skipped

    def jitter_ms(self, percent: float) -> float:
        """How far the time from tick to tick was from the period, at most, in `percent` of the ticks; 0 without any."""
        if not self._intervals_ns:
            return 0.0
        errors_ns = np.abs(np.asarray(self._intervals_ns) - self._period_ns)
        return float(np.percentile(errors_ns, percent)) / 1e6
