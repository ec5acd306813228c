"""Sensors that have frozen: messages go on, and what they say does not change."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus_deploy.contracts.limits import Signal


class StillnessGuard:
    """Finds signals none of whose elements has changed at all for longer than `max_still_s`.

    Real sensors have noise, so that readings that are equal are no readings; which signals may stand still, such as a
    goal or an encoder of coarse steps, the contract says by leaving `max_still_s` out. Only time between readings
    counts: silence is another fault.

    Args:
        signals: Numbers, in the order of the flat readings.
        slices: Where each of them stands there.
    """

    def __init__(self, signals: Sequence[Signal], slices: Sequence[slice]) -> None:
        self._watched = [
            (index, part, signal.max_still_s)
            for index, (signal, part) in enumerate(zip(signals, slices, strict=True))
            if signal.max_still_s is not None
        ]
        self._names = [signal.name for signal in signals]
        self._still_s = [0.0] * len(signals)

    def reset(self) -> None:
        """The next reading is compared with none before it."""
        self._still_s = [0.0] * len(self._still_s)

    def check(self, now: list[float], before: list[float], passed_s: Sequence[float]) -> str | None:
        """Compare flat readings with those before.

        Args:
            now: All readings.
            before: Those of the call before.
            passed_s: Time from the reading before to this one, for each signal; 0 where no new one came.

        Returns:
            None, or the cause in words.
        """
        for index, part, limit_s in self._watched:
            if now[part] != before[part]:
                self._still_s[index] = 0.0
                continue
            self._still_s[index] += max(0.0, passed_s[index])
            if self._still_s[index] > limit_s:
                still_s = self._still_s[index]
                return f"{self._names[index]}: frozen, the same for {still_s:.3g} s (at most {limit_s:g} s)"
        return None
