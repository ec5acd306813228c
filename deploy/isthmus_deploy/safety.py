"""What stands between sensors, policy and motors.

Is a reading plausible, was a goal trained, is a command within its limits?
"""

from collections.abc import Mapping, Sequence

import numpy as np

from isthmus_deploy.limits import Command, Limits, Signal
from isthmus_deploy.motion import MotionGuard
from isthmus_deploy.stillness import StillnessGuard

_QUATERNION = ("w", "x", "y", "z")
_QUATERNION_NORM_TOLERANCE = 1e-2
_COUNTED = 1e-5  # fraction of the range: a float32 rounded past its limit is not worth a count


class UnsafeCommand(ValueError):  # noqa: N818 (reads as what it is)
    """A command cannot be made safe by limiting it: it is missing, not a finite number, or of another shape."""


class DriverFailed(RuntimeError):  # noqa: N818 (reads as what it is)
    """Whoever drives has no commands to give; the message says why."""


class SignalGuard:
    """Judges every reading before whoever drives sees it. Knows the limits, and the last accepted reading.

    An image is judged by its form and its age alone.
    """

    def __init__(self, limits: Limits):
        self._signals = limits.signals
        self._period_s = limits.control_period_s
        self._numbers = [signal for signal in limits.signals if signal.dtype != "uint8"]
        self._slices = _slices(self._numbers)
        self._minimum = _flat(self._numbers, "minimum")
        self._maximum = _flat(self._numbers, "maximum")
        self._max_jump = _flat(self._numbers, "max_jump")
        self._flat = np.zeros_like(self._minimum)
        self._last = np.zeros_like(self._minimum)
        self._views = {
            item.name: self._flat[part].reshape(item.shape)
            for item, part in zip(self._numbers, self._slices, strict=True)
        }
        quaternions = [signal.order == _QUATERNION for signal in self._numbers]
        self._quaternions = [part for part, is_one in zip(self._slices, quaternions, strict=True) if is_one]
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
        for part in self._quaternions:
            for quaternion in self._flat[part].reshape(-1, 4):
                norm = float(np.sqrt(quaternion @ quaternion))
                if abs(norm - 1.0) > _QUATERNION_NORM_TOLERANCE:
                    return f"{self._locate(part.start)[0].name}: not a unit quaternion, norm {norm:.4g}"
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
        jump = np.abs(self._flat - self._last)
        for part in self._quaternions:
            now, before = self._flat[part].reshape(-1, 4), self._last[part].reshape(-1, 4)
            flipped = (now * before).sum(axis=1, keepdims=True) < 0.0
            jump[part] = np.abs(now - np.where(flipped, -before, before)).reshape(-1)
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

    def _locate(self, index: int) -> tuple[Signal, int]:
        """Signal of the element at `index` of the flat vector, and its place in the signal's `order`."""
        which = next(i for i, part in enumerate(self._slices) if index < part.stop)
        signal = self._numbers[which]
        return signal, (index - self._slices[which].start) % len(signal.order)

    def _name(self, index: int) -> str:
        signal, place = self._locate(index)
        return f"{signal.name}.{signal.order[place]}"


class GoalLimiter:
    """Holds what an operator asks for to the range that was asked in training: the policy's range, not the robot's.

    A robot may be able to go at 3.8 m/s; what a policy that was trained to 1 m/s does there, nobody knows. A range that
    is about a reading is about what that was when the policy started.
    """

    def __init__(self, limits: Limits):
        self._trained = {
            signal.name: (full(signal, signal.trained_minimum), full(signal, signal.trained_maximum))
            for signal in limits.signals
            if signal.trained_minimum is not None and signal.trained_maximum is not None
        }
        self._around = {item.name: item.trained_around for item in limits.signals if item.trained_around is not None}
        self._ranges: dict[str, tuple[np.ndarray, np.ndarray]] | None = None
        self.clamped_steps = 0
        """Steps in which a goal was outside its trained range."""

    def reset(self) -> None:
        """The policy starts: what ranges are about is read anew."""
        self._ranges = None

    def apply(self, signals: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """The signals (by name, unbatched, finite) with every goal in its trained range."""
        if self._ranges is None:
            self._ranges = {name: self._placed(name, signals) for name in self._trained}
        held = {name: np.clip(signals[name], low, high) for name, (low, high) in self._ranges.items()}
        self.clamped_steps += any(_beyond(signals[name], goal, *self._ranges[name]) for name, goal in held.items())
        return {**signals, **held}

    def _placed(self, name: str, signals: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        low, high = self._trained[name]
        middle = signals[self._around[name]] if name in self._around else np.zeros_like(low)
        return low + middle, high + middle


def _beyond(asked: np.ndarray, held: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    rounding = _COUNTED * np.maximum(high - low, np.abs(high))
    return bool((np.abs(held - asked) > rounding).any())


class SafetyFilter:
    """Makes commands finite, in range and rate-limited. Its arrays are float64, so that no limit is rounded away.

    Args:
        limits: Of range and rate.
        period_s: Time from one call to the next.
    """

    def __init__(self, limits: Limits, period_s: float):
        self._commands = limits.commands
        self._minimum = [full(item, item.minimum) for item in self._commands]
        self._maximum = [full(item, item.maximum) for item in self._commands]
        self._step = [full(item, item.max_rate) * period_s for item in self._commands]
        self._counted = [_COUNTED * (high - low) for low, high in zip(self._minimum, self._maximum, strict=True)]
        self._last = {item.name: full(item, item.safe) for item in self._commands}
        self.clipped_steps = 0
        """Steps in which at least one element was outside its range."""
        self.rate_limited_steps = 0
        """Steps in which at least one element changed faster than allowed."""

    @property
    def last(self) -> Mapping[str, np.ndarray]:
        """What the robot was sent last, by name."""
        return self._last

    def reset(self, last: Mapping[str, np.ndarray]) -> None:
        """Take `last` (commands by name) as what the robot was sent last; the counters go on."""
        for item in self._commands:
            np.copyto(self._last[item.name], last[item.name])

    def apply(self, commands: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Limit the commands of one control period to their range, and to their rate since the last call.

        Args:
            commands: Every command by name, unbatched, in its unit.

        Returns:
            The commands to send, by name: new arrays, float64.

        Raises:
            UnsafeCommand: one is missing or of another shape, or an element is not finite; nothing counts as sent.
        """
        for item in self._commands:
            _check_asked(item, commands.get(item.name))
        sent, clipped, limited = {}, False, False
        for index, item in enumerate(self._commands):
            wanted, last = commands[item.name], self._last[item.name]
            in_range = np.minimum(np.maximum(wanted, self._minimum[index]), self._maximum[index])
            slow = np.minimum(np.maximum(in_range, last - self._step[index]), last + self._step[index])
            clipped = clipped or bool((np.abs(in_range - wanted) > self._counted[index]).any())
            limited = limited or bool((np.abs(slow - in_range) > self._counted[index]).any())
            sent[item.name] = slow
        self.clipped_steps += clipped
        self.rate_limited_steps += limited
        self.reset(sent)
        return sent


def _check_asked(item: Command, values: np.ndarray | None) -> None:
    if values is None:
        raise UnsafeCommand(f"{item.name}: nothing is asked for")
    if values.shape != item.shape:  # one number would be spread over all motors
        raise UnsafeCommand(f"{item.name}: asked for the shape {values.shape}, the contract says {item.shape}")
    if not np.isfinite(values).all():
        index = int(np.argmin(np.isfinite(values).reshape(-1)))
        raise UnsafeCommand(f"{item.name}.{item.order[index % len(item.order)]}: asked for {values.flat[index]}")


def full(item: Signal | Command, values: Sequence[float]) -> np.ndarray:
    """Per-element numbers of the last axis, repeated over the whole shape; float64."""
    return np.broadcast_to(np.array(values, dtype=np.float64), item.shape).copy()


def _flat(signals: Sequence[Signal], field: str) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(full(signal, getattr(signal, field)).reshape(-1) for signal in signals)])


def _slices(signals: Sequence[Signal]) -> list[slice]:
    sizes = [int(np.prod(signal.shape)) for signal in signals]
    return [slice(end - size, end) for size, end in zip(sizes, np.cumsum(sizes, dtype=int).tolist(), strict=True)]
