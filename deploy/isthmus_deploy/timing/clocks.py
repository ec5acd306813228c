"""How old a reading is by its stamp, where the robot's clock and this machine's may disagree, drift and be set.

Inside there is only monotonic time. The wall clock is asked for one thing: whether the robot's stamps are of the same
time as ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_STEP_NS = 20_000_000
"""A wall clock that is off by more from one look to the next was set: time servers slew by at most 0.5 ms/s
(adjtimex(2)), and set what is off by more than 128 ms (ntpd)."""
_UNDISTURBED_NS = 50_000
"""Between two looks at the monotonic clock; what lies further apart was interrupted, and is no measurement."""
_EARLY_NS = 5_000_000
"""Synchronised clocks differ by less (NTP in a local network: 1 ms), so a stamp further ahead is of another clock."""
_LATE_NS = 1_000_000_000
"""Nobody's fastest reading is later: stamps further behind are of another clock."""
_REBASE_NS = 50_000_000
"""No clock drifts by so much from one reading to the next: it was set, or what was held up comes in time again."""
_UNDER_WAY_NS = 200_000_000
"""What a clock stamped before it was set has come by then."""
_WINDOW_NS = 10_000_000_000
"""In it two quartz clocks drift by less than 2 ms apart (±100 ppm each)."""


class WallClock:
    """How far this machine's wall clock is ahead of its monotonic one, and how often somebody set it.

    Args:
        clock: Monotonic time, ns.
        wall: Time since 1970, ns.
    """

    def __init__(self, *, clock: Callable[[], int] = time.monotonic_ns, wall: Callable[[], int] = time.time_ns) -> None:
        self._clock, self._wall = clock, wall
        self.offset_ns = wall() - clock()
        """Wall clock less monotonic clock, at the last look."""
        self.set_by_ns = 0
        """By how much it was set, forward is positive, since the last `accept`."""
        self.steps = 0
        """How often it was set."""

    def look(self) -> None:
        """Notice whether the clock was set. An interrupted look notices nothing."""
        before = self._clock()
        wall = self._wall()
        if self._clock() - before > _UNDISTURBED_NS:
            return
        moved = wall - before - self.offset_ns
        self.offset_ns += moved
        if abs(moved) > _STEP_NS:
            self.set_by_ns += moved
            self.steps += 1

    def accept(self) -> None:
        """Whoever is compared with this clock has been set with it."""
        self.set_by_ns = 0


class RunningMinimum:
    """The smallest of the values of the last window or two.

    Args:
        window_ns: Values are forgotten when they are older than twice this, and not before they are as old as this.
    """

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._since_ns = 0
        self._newer: int | None = None
        self.value: int | None = None
        """None without values."""

    def add(self, value: int, now_ns: int) -> None:
        """A value comes at a monotonic time."""
        if self._newer is None or self.value is None or now_ns - self._since_ns > self._window_ns:
            self._since_ns = now_ns
            self.value = value if self._newer is None else min(self._newer, value)
            self._newer = value
            return
        self._newer = min(self._newer, value)
        self.value = min(self.value, value)

    def shift(self, by: int) -> None:
        """Add to all values."""
        if self._newer is not None and self.value is not None:
            self._newer += by
            self.value += by

    def clear(self) -> None:
        """Forget all values."""
        self._newer = self.value = None


class StampClock:
    """The clock of one sensor's stamps, seen through messages that come late by an unknown time.

    Of all delays (arrival less stamp) the smallest of the last seconds tells how the clocks differ: nothing comes
    early, and now and then something comes almost at once (Olson, "A Passive Solution to the Sensor Synchronization
    Problem", IROS 2010; the minimum filter of RFC 5905, one way). Where that difference is what the wall clock says,
    the clocks agree, and a latency is the whole time since the stamp. Otherwise it is what exceeds the fastest message
    of this sensor, or of another one by the same clock: then a latency that grows is seen, and one of a single sensor,
    but not a constant one of all.

    When somebody sets this machine's clock, nothing changes; neither when the sensor's is set with it, as on the same
    machine. When only the sensor's is set, the difference is measured anew.

    Args:
        wall: This machine's clock; every sensor has a view of its own.
        sensors: The clocks of all sensors of the robot; this one joins them.
    """

    def __init__(self, wall: WallClock, sensors: list[StampClock]) -> None:
        self.wall = wall
        self._sensors = sensors
        self._sensors.append(self)
        self._fastest = RunningMinimum(_WINDOW_NS)
        self._last_ns = 0
        self._outdated: tuple[int, int] | None = None  # the fastest before the clock was set, and until when it counts
        self.agrees: bool | None = None
        """Whether its stamps are of the same time as this machine's wall clock; None before the first one."""

    @property
    def ahead_s(self) -> float:
        """How far it is ahead of this machine's clock; negative when behind. The fastest message counts as not late."""
        return -1e-9 * self._least_ns

    def follow(self, stamp_ns: int, now_ns: int) -> int:
        """Tell from a message that has just come by how much the clock was set together with this machine's, ns; 0
        where it was not."""
        self.wall.look()
        set_by_ns, delay_ns = self.wall.set_by_ns, now_ns - stamp_ns
        if (
            not set_by_ns
            or self._fastest.value is None
            or abs(delay_ns + set_by_ns - self._last_ns) >= abs(delay_ns - self._last_ns)
        ):
            return 0
        self.wall.accept()
        self._fastest.shift(-set_by_ns)
        self._last_ns -= set_by_ns
        return set_by_ns

    def forget(self) -> None:
        """It was set back: the next message begins anew."""
        self._fastest.clear()

    def latency_ns(self, stamp_ns: int, now_ns: int) -> int:
        """How late a message is that has just come; never negative. `follow` has been called."""
        delay_ns = self._last_ns = now_ns - stamp_ns
        fastest = self._fastest.value
        if fastest is None or delay_ns < fastest - _REBASE_NS:
            self._rebase(fastest, now_ns)
        elif self._outdated and now_ns < self._outdated[1] and delay_ns >= self._outdated[0] - _EARLY_NS:
            return max(0, delay_ns - self._outdated[0])  # it was under way when the clock was set
        self._fastest.add(delay_ns, now_ns)
        least_ns = self._least_ns
        self.agrees = least_ns >= -_EARLY_NS and (self.agrees or (self.agrees is None and least_ns <= _LATE_NS))
        if self.agrees:
            return delay_ns - self._fastest_ns + max(0, least_ns)
        return delay_ns - self._reference_ns()

    @property
    def _fastest_ns(self) -> int:
        return self._fastest.value or 0

    @property
    def _least_ns(self) -> int:
        """Latency of the fastest message, if its clock is this machine's as it was before somebody set that."""
        return self._fastest_ns + self.wall.offset_ns - self.wall.set_by_ns

    def _reference_ns(self) -> int:
        """Delay of the fastest message of all sensors by the same clock: more than a second apart are two clocks."""
        own = self._fastest_ns
        delays = (sensor._fastest.value for sensor in self._sensors)
        return min((delay for delay in delays if delay is not None and 0 <= own - delay <= _LATE_NS), default=own)

    def _rebase(self, before: int | None, now_ns: int) -> None:
        self._outdated = None if before is None else (before, now_ns + _UNDER_WAY_NS)
        self._fastest.clear()
        self.wall.accept()
        self.agrees = None
