"""A log of one position-controlled servo that swings a pendulum, and what makes it no log to learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray

_LONGEST_GAP_S = 0.1
_LARGEST_ANGLE = 4 * np.pi  # rad; a servo that positions turns less
_UNITS = {"degrees": np.pi / 180.0, "ticks of 4096 a turn": 2 * np.pi / 4096}
_LEAST_MOTION = 0.02  # rad, between least and most: some ticks of an encoder
_LEAST_S = 0.5


class LogError(ValueError):
    """A log cannot be used; the message names the log, what is wrong in it, and what would be right."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ServoLog:
    """n readings of a servo whose shaft carries a point mass on an arm; at 0 rad the arm hangs straight down.

    Raises LogError where time does not rise or has a gap, a number is not finite, angles are in no radians, or the
    shaft hardly moves.
    """

    name: str
    time_s: Array
    """(n,) s, rising."""
    goal: Array
    """(n,) rad."""
    position: Array
    """(n,) rad."""
    powered: Array
    """(n,) bool: whether the motor was switched on."""
    firmware_gain: float
    """The gain that the firmware was given, in its own unit."""
    mass: float
    """kg."""
    length: float
    """m, from the shaft to the mass."""
    supply: float
    """V, unloaded."""
    duty: Array | None = None
    """(n,) share of the supply that the firmware gave to the motor, from -1 to 1; None where it is not known."""

    def __post_init__(self) -> None:
        for name in ("time_s", "goal", "position", "duty"):
            values = getattr(self, name)
            if values is not None and not np.isfinite(values).all():
                raise self._error(f"{name} has {np.count_nonzero(~np.isfinite(values))} values that are no numbers")
        for name in ("firmware_gain", "mass", "length", "supply"):
            if not 0 < getattr(self, name) < np.inf:
                raise self._error(f"{name} is {getattr(self, name):g}; it must be a positive number")
        self._check_clock()
        self._check_angles()

    def _check_clock(self) -> None:
        steps = np.diff(self.time_s)
        back = np.flatnonzero(steps <= 0)
        if len(back):
            at = back[0]
            raise self._error(
                f"its clock jumps by {steps[at]:+.3g} s after {self.time_s[at]:.3f} s; cut the log there, or take a "
                "monotonic clock"
            )
        if not len(steps) or self.time_s[-1] - self.time_s[0] < _LEAST_S:
            raise self._error(f"it is shorter than {_LEAST_S:g} s; time must be in seconds")
        if np.median(steps) > _LONGEST_GAP_S:
            raise self._error(
                f"readings are {np.median(steps):.3g} s apart, which tells nothing of a drive; time must be in seconds"
            )
        if (longest := int(steps.argmax())) and steps[longest] > max(_LONGEST_GAP_S, 10 * np.median(steps)):
            raise self._error(
                f"nothing was recorded for {steps[longest]:.3g} s after {self.time_s[longest]:.3f} s; cut it in two"
            )

    def _check_angles(self) -> None:
        for name in ("position", "goal"):
            largest = np.abs(getattr(self, name)).max()
            if largest > _LARGEST_ANGLE:
                raise self._error(f"{name} reaches {largest:.4g}: it is in no radians; is it in {_likely(largest)}?")
        moved = np.ptp(self.position)
        if moved < _LEAST_MOTION:
            raise self._error(
                f"the shaft moves by {moved:.2g} rad in all: nothing can be learnt of it; give goals that swing it by "
                "half a radian and more, or check that position is in radians"
            )

    def _error(self, words: str) -> LogError:
        return LogError(f"{self.name}: {words}")


def _likely(largest: float) -> str:
    """The unit in which an angle of that size lies within a turn."""
    return next((unit for unit, size in _UNITS.items() if largest * size < np.pi), "some other unit")
