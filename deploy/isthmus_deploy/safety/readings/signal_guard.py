"""Is a reading plausible?"""

import math
from collections.abc import Mapping, Sequence
from operator import mul

import numpy as np

from isthmus_deploy.contracts.limits import Limits
from isthmus_deploy.safety.commands.elements import element_name, flat, numbers, slices
from isthmus_deploy.safety.readings.motion import MotionGuard
from isthmus_deploy.safety.readings.stillness import StillnessGuard

_QUATERNION = ("w", "x", "y", "z")
_QUATERNION_NORM_TOLERANCE = 1e-2


class SignalGuard:
    """Judges every reading before whoever drives sees it. Knows the limits, and the last accepted reading.

    An image is judged by its form and its age alone. The rest is plain numbers: in a loop that sleeps between its
    ticks, and finds its caches cold, every call of NumPy costs several times what it does in a row.
    """

    def __init__(self, limits: Limits):
        self._signals = limits.signals
        self._period_s = limits.control_period_s
        self._numbers = [signal for signal in limits.signals if signal.dtype != "uint8"]
        self._slices = slices(self._numbers)
        self._forms = [(item.name, tuple(item.shape), item.dtype == "uint8") for item in limits.signals]
        self._oldest_s = [(item.name, item.max_age_s) for item in limits.signals if item.max_age_s is not None]
        bounds = (flat(self._numbers, field).tolist() for field in ("minimum", "maximum", "max_jump"))
        self._minimum, self._maximum, self._max_jump = bounds
        self._flat: list[float] = []
        self._last: list[float] = []
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
            self._last, self._last_ages = self._flat, ages
        return cause

    def _check_ages(self, ages_s: Mapping[str, float]) -> str | None:
        for name, oldest_s in self._oldest_s:
            age = ages_s.get(name, math.inf)
            if not age <= oldest_s:
                return f"{name}: stale, {age:.3g} s old (at most {oldest_s:.3g} s)"
        return None

    def _gather(self, signals: Mapping[str, np.ndarray]) -> str | None:
        readings: list[float] = []
        for name, shape, is_image in self._forms:
            value = signals.get(name)
            if value is None:
                return f"{name}: no reading"
            if value.shape != shape:
                return f"{name}: shape {value.shape}, the contract says {shape}"
            if not is_image:
                readings += numbers(value)
            elif value.dtype != np.uint8:
                return f"{name}: {value.dtype}, the contract says uint8"
        self._flat = readings
        return None

    def _check_range(self) -> str | None:
        bounded = zip(self._flat, self._minimum, self._maximum, strict=True)
        for index, (value, minimum, maximum) in enumerate(bounded):
            if minimum <= value <= maximum:  # false for not-a-number
                continue
            if not math.isfinite(value):
                return f"{self._name(index)}: not finite ({value})"
            return f"{self._name(index)}: {value:.6g} is outside [{minimum:.6g}, {maximum:.6g}]"
        return None

    def _check_norms(self) -> str | None:
        for name, part in self._quaternions:
            norm = math.hypot(*self._flat[part])
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
            if sum(map(mul, self._flat[part], before)) < 0.0:
                self._last[part] = [-value for value in before]
        for value, before, most in zip(self._flat, self._last, self._max_jump, strict=True):
            if abs(value - before) > most:
                return self._explain_jump(ages)
        return None

    def _explain_jump(self, ages: Sequence[float]) -> str | None:
        """The cause, unless the readings lie far enough apart in time to allow for it."""
        assert self._last_ages is not None
        for part, age, last_age in zip(self._slices, ages, self._last_ages, strict=True):
            periods = max(1.0, (self._elapsed_s + last_age - age) / self._period_s)
            for index in range(part.start, part.stop):
                jump, most = abs(self._flat[index] - self._last[index]), self._max_jump[index]
                if jump > most * periods:
                    return f"{self._name(index)}: jumped by {jump:.6g} (at most {most:.6g} a period)"
        return None

    def _name(self, index: int) -> str:
        return element_name(self._numbers, index)
