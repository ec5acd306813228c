"""What stands between whoever drives and the motors: was a goal trained, is a command within its limits?"""

import math
from collections.abc import Mapping

import numpy as np

from isthmus_deploy.contracts.limits import Limits
from isthmus_deploy.safety.commands.effort import EffortLimit
from isthmus_deploy.safety.commands.elements import Parts, element_name, full, numbers
from isthmus_deploy.safety.commands.filter_report import COUNTED, FilterReport
from isthmus_deploy.safety.commands.step_limits import StepLimits
from isthmus_deploy.safety.commands.workspace import ToolLimit

_NO_READINGS: Mapping[str, np.ndarray] = {}


class UnsafeCommand(ValueError):  # noqa: N818 (reads as what it is)
    """A command cannot be made safe by limiting it: it is missing, not a finite number, or of another shape."""


class DriverFailed(RuntimeError):  # noqa: N818 (reads as what it is)
    """Whoever drives has no commands to give; the message says why."""


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
        self._ranges: list[tuple[str, list[float], list[float]]] | None = None
        self.clamped_steps = 0
        """Steps in which a goal was outside its trained range."""

    def reset(self) -> None:
        """The policy starts: what ranges are about is read anew."""
        self._ranges = None

    def apply(self, signals: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """The signals (by name, unbatched, finite) with every goal in its trained range."""
        if self._ranges is None:
            self._ranges = [(name, *self._placed(name, signals)) for name in self._trained]
        held, clamped = {}, False
        for name, low, high in self._ranges:
            asked = signals[name]
            wanted = numbers(asked)
            goal = [min(max(x, a), b) for x, a, b in zip(wanted, low, high, strict=True)]
            if goal != wanted:
                held[name] = np.array(goal, asked.dtype).reshape(asked.shape)
                clamped = clamped or _beyond(wanted, goal, low, high)
        self.clamped_steps += clamped
        return {**signals, **held} if held else signals

    def _placed(self, name: str, signals: Mapping[str, np.ndarray]) -> tuple[list[float], list[float]]:
        low, high = self._trained[name]
        middle = signals[self._around[name]] if name in self._around else np.zeros_like(low)
        return numbers(low + middle), numbers(high + middle)


def _beyond(asked: list[float], held: list[float], low: list[float], high: list[float]) -> bool:
    """Whether a goal was held by more than a rounding."""
    return any(
        abs(goal - wanted) > COUNTED * max(most - least, abs(most))
        for wanted, goal, least, most in zip(asked, held, low, high, strict=True)
    )


class SafetyFilter:
    """Makes commands finite, and holds them to their limits, one stage after the other:

    - `range`: least and greatest value;
    - `effort`: what the joints' actuators can give (`EffortLimit`);
    - `acceleration`, `rate`, `approach`: how far they may move in a period (`StepLimits`, `BrakingBarrier`);
    - `workspace`: where tools may be (`ToolLimit`).

    Range and rate are always there, the others where `limits.safety` asks for them. No stage undoes what one before it
    did, but for effort, which gives way. Numbers are float64, so that no limit is rounded away.

    Args:
        limits: What commands are held to.
        period_s: Time from one call to the next.
    """

    def __init__(self, limits: Limits, period_s: float):
        self._commands = limits.commands
        self._effort = EffortLimit(limits)
        self._steps = StepLimits(limits, period_s)
        tools = limits.safety.tools if limits.safety else ()
        self._tools = [ToolLimit(tool, limits, self._steps, period_s) for tool in tools]
        stages = {
            "range": True,
            "effort": self._effort.any,
            "acceleration": self._steps.accelerates,
            "rate": True,
            "approach": self._steps.approaches,
            "workspace": bool(self._tools),
        }
        self._report = FilterReport(self._commands, period_s, stages)
        self._parts = Parts(self._commands)
        self._shapes = [(item.name, tuple(item.shape)) for item in self._commands]

    @property
    def last(self) -> Mapping[str, np.ndarray]:
        """What the robot was sent last, by name."""
        return self._parts.arrays(self._steps.last)

    @property
    def clipped_steps(self) -> int:
        """Steps in which at least one element was outside its range."""
        return self._report.steps("range")

    @property
    def rate_limited_steps(self) -> int:
        """Steps in which at least one element would have changed faster than allowed."""
        return self._report.steps("rate")

    @property
    def counters(self) -> dict[str, float]:
        """What it changed since it was made: per command and stage the number of steps and the largest change, in the
        command's unit; `held_steps` are those in which a tool could only be braked or held."""
        held = {"held_steps": sum(tool.held_steps for tool in self._tools)} if self._tools else {}
        return {**self._report.counters, **held}

    def reset(self, last: Mapping[str, np.ndarray]) -> None:
        """Take `last` (commands by name) as where the robot stands; the counters go on."""
        self._steps.reset([value for item in self._commands for value in numbers(last[item.name])])
        for tool in self._tools:
            tool.reset()

    def apply(
        self, commands: Mapping[str, np.ndarray], signals: Mapping[str, np.ndarray] = _NO_READINGS
    ) -> dict[str, np.ndarray]:
        """Limit the commands of one control period, given what was sent in the last one.

        Args:
            commands: Every command by name, unbatched, in its unit.
            signals: Plausible readings by name; needed where efforts are limited.

        Returns:
            The commands to send, by name: new arrays, float64.

        Raises:
            UnsafeCommand: one is missing or of another shape, or an element is not finite; nothing counts as sent.
        """
        asked, last = self._gather(commands), self._steps.last
        wanted, accelerated, sent = self._steps.hold(self._effort.hold(asked, signals) if self._effort.any else asked)
        kept = sent
        for tool in self._tools:
            kept = tool.hold(kept)
        self._report.add(last, asked, wanted, accelerated, sent, kept)
        self._steps.take(wanted, kept)
        return self._parts.arrays(kept)

    def _gather(self, commands: Mapping[str, np.ndarray]) -> list[float]:
        asked: list[float] = []
        for name, shape in self._shapes:
            values = commands.get(name)
            if values is None:
                raise UnsafeCommand(f"{name}: nothing is asked for")
            if values.shape != shape:  # one number would be spread over all motors
                raise UnsafeCommand(f"{name}: asked for the shape {values.shape}, the contract says {shape}")
            asked += numbers(values)
        if not math.isfinite(sum(asked)):
            for index, value in enumerate(asked):
                if not math.isfinite(value):
                    raise UnsafeCommand(f"{element_name(self._commands, index)}: asked for {value}")
        return asked
