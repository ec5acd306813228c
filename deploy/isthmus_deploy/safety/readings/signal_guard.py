"""Is a reading plausible?"""

import math
from collections.abc import Mapping, Sequence
from operator import mul

import numpy as np

from isthmus_deploy.contracts.limits import Limits
from isthmus_deploy.safety.commands.elements import Parts, element_name, flat, slices
from isthmus_deploy.safety.readings.motion import MotionGuard
from isthmus_deploy.safety.readings.stillness import StillnessGuard

_QUATERNION = ("w", "x", "y", "z")
_QUATERNION_NORM_TOLERANCE = 1e-2


class SignalGuard:
    """Judges every reading before whoever drives sees it. Knows the limits, and the last accepted reading.

    An image is judged by its form and its age alone.
    """

    def __init__(self, limits: Limits):
        self._signals = limits.signals
        self._period_s = limits.control_period_s
        self._numbers = [signal for signal in limits.signals if signal.dtype != "uint8"]
        self._slices = slices(self._numbers)
        self._minimum = flat(self._numbers, "minimum")
        self._maximum = flat(self._numbers, "maximum")
        self._max_jump = flat(self._numbers, "max_jump")
        self._flat = np.zeros_like(self._minimum)
        self._last = np.zeros_like(self._minimum)
        self._views = Parts(self._numbers).of(self._flat)
        self._quaternions = [
            (signal.name, slice(start, start + 4))
            for signal, part in zip(self._numbers, self._slices, strict=True)
            if signal.order == _QUATERNION
            for start in range(part.start, part.stop, 4)
        ]
        self._last_ages: list[float] | None = None
        self._elapsed_s = self._period_s
        self._stillness = StillnessGuard(self._numbers, self._slices)
        self._motion = MotionGuard(self._numbers, self._slices)

    def reset(self) -> None:
        """Forget the readings so far: the next one is not compared with them."""
        self._last_ages = None
        self._stillness.reset()
        self._motion.reset()

    def check(
        self, signals: Mapping[str, np.ndarray], ages_s: Mapping[str, float], elapsed_s: float = 0.0
    ) -> str | None:
        """Judge the readings of one control period.

        A reading may move by `max_jump` for every control period since the reading before it, so that a lost message
        is not taken for a jump. A quaternion and its negative are the same orientation. Sensors that have frozen, and a
        velocity that contradicts the position, are found after a while.

        Args:
            signals: Every signal of the contract by name, unbatched.
            ages_s: Age of each reading, in seconds; signals without `max_age_s` may be left out.
            elapsed_s: Time since the last call; less than a control period counts as one.

        Returns:
            None when every reading is plausible, otherwise the cause in words.
        """
        self._elapsed_s = max(self._period_s, elapsed_s)
        cause = self._check_ages(ages_s) or self._gather(signals) or self._check_range() or self._check_norms()
        if cause:
            return cause
        ages = [ages_s.get(signal.name, 0.0) for signal in self._numbers]
        cause = self._check_jumps(ages) or self._check_course(ages)
        if cause is None:
            np.copyto(self._last, self._flat)
            self._last_ages = ages
        return cause

    def _check_ages(self, ages_s: Mapping[str, float]) -> str | None:
        for signal in self._signals:
            if signal.max_age_s is None:
                continue
            age = ages_s.get(signal.name, np.inf)
            if not age <= signal.max_age_s:
                return f"{signal.name}: stale, {age:.3g} s old (at most {signal.max_age_s:.3g} s)"
        return None

    def _gather(self, signals: Mapping[str, np.ndarray]) -> str | None:
        for signal in self._signals:
            value, view = signals.get(signal.name), self._views.get(signal.name)
            if value is None:
                return f"{signal.name}: no reading"
            if value.shape != signal.shape:
                return f"{signal.name}: shape {value.shape}, the contract says {signal.shape}"
            if view is not None:
                np.copyto(view, value)
            elif value.dtype != np.uint8:
                return f"{signal.name}: {value.dtype}, the contract says uint8"
        return None

    def _check_range(self) -> str | None:
        plausible = (self._flat >= self._minimum) & (self._flat <= self._maximum)  # false for not-a-number
        if plausible.all():
            return None
        index = int(np.argmin(plausible))
        name, value = self._name(index), self._flat[index]
        if not np.isfinite(value):
            return f"{name}: not finite ({value})"
        return f"{name}: {value:.6g} is outside [{self._minimum[index]:.6g}, {self._maximum[index]:.6g}]"

    def _check_norms(self) -> str | None:
        for name, part in self._quaternions:
            norm = math.hypot(*self._flat[part].tolist())
            if abs(norm - 1.0) > _QUATERNION_NORM_TOLERANCE:
                return f"{name}: not a unit quaternion, norm {norm:.4g}"
        return None

    def _check_course(self, ages: Sequence[float]) -> str | None:
        """What only several readings can show."""
        if self._last_ages is None:
            return self._motion.check(self._flat, [0.0] * len(ages))
        passed_s = [self._elapsed_s + last - age for last, age in zip(self._last_ages, ages, strict=True)]
        return self._stillness.check(self._flat, self._last, passed_s) or self._motion.check(self._flat, passed_s)

    def _check_jumps(self, ages: Sequence[float]) -> str | None:
        if self._last_ages is None:
            return None
        for _, part in self._quaternions:
            before = self._last[part]
            if sum(map(mul, self._flat[part].tolist(), before.tolist())) < 0.0:
                np.negative(before, out=before)
        jump = np.abs(self._flat - self._last)
        if (jump <= self._max_jump).all():
            return None
        return self._explain_jump(jump, ages)

    def _explain_jump(self, jump: np.ndarray, ages: Sequence[float]) -> str | None:
        """The cause, unless the readings lie far enough apart in time to allow for it."""
        assert self._last_ages is not None
        for part, age, last_age in zip(self._slices, ages, self._last_ages, strict=True):
            periods = max(1.0, (self._elapsed_s + last_age - age) / self._period_s)
            excess = jump[part] - self._max_jump[part] * periods
            index = part.start + int(np.argmax(excess))
            if excess[index - part.start] > 0.0:
                return (
                    f"{self._name(index)}: jumped by {jump[index]:.6g} (at most {self._max_jump[index]:.6g} a period)"
                )
        return None

    def _name(self, index: int) -> str:
        return element_name(self._numbers, index)
