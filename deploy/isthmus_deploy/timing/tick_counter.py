"""Which control period it is: monotonic time in whole periods since an episode began."""

_TOLERATED = 0.75
"""A tick that is early or late by this share of a period is still the next one. It is above a half, so that a loop
whose ticks fall midway between two periods does not alternate between repeating one and skipping one."""


class TickCounter:
    """Counts control periods, those in which the loop did not tick included.

    Args:
        period_s: Control period.
    """

    def __init__(self, period_s: float):
        self._period_ns = 1e9 * period_s
        self._begun_ns: int | None = None
        self.tick = 0
        """The present control period; the first one is 0."""

    def reset(self) -> None:
        """The next count is the first one of an episode."""
        self._begun_ns, self.tick = None, 0

    def count(self, now_ns: int) -> int:
        """Move on to the period of this moment. Returns how many periods have passed since the last call: 1 as a rule,
        more after skipped ones, 0 at first, and for a tick that comes long before its period."""
        if self._begun_ns is None:
            self._begun_ns = now_ns
        passed = (now_ns - self._begun_ns) / self._period_ns - self.tick
        periods = 1 if abs(passed - 1.0) <= _TOLERATED else max(round(passed), 0)
        self.tick += periods
        return periods
