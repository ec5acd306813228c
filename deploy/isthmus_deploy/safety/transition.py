"""The slow ways of a robot that must not be commanded to a pose at once: up to stand-by, down to the safe command."""

from collections.abc import Mapping

import numpy as np

from isthmus_deploy.contracts.limits import Command, Limits
from isthmus_deploy.safety.commands.elements import full

Commands = Mapping[str, np.ndarray]


class Transition:
    """Moves commands along a straight line to a target at their `transition_rate`; open loop.

    The elements of a command arrive together, so that the legs of a robot that stands up go through the poses between.
    A command without `transition_rate` is at its target at once.

    Args:
        limits: The commands' rates and ranges.
        period_s: Time from one call of `towards` to the next.
    """

    def __init__(self, limits: Limits, period_s: float):
        self._period_s = period_s
        self._rates = {
            item.name: full(item, item.transition_rate) for item in limits.commands if item.transition_rate is not None
        }
        self._starts = {item.name: _Start(limits, item) for item in limits.commands}

    @property
    def slow(self) -> bool:
        """Whether any command has a transition rate."""
        return bool(self._rates)

    def start(self, signals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Where the commands begin after arming: where the robot is, so that no limb jumps.

        That is the reading of the same quantity (`Limits.measured`), in the command's range. Where there is none, or
        an implausible one, and for commands without `transition_rate`, it is the safe command.
        """
        return {name: start(signals if name in self._rates else {}) for name, start in self._starts.items()}

    def towards(self, targets: Commands, last: Commands) -> dict[str, np.ndarray]:
        """The commands of the next period on the way from `last` to `targets`."""
        return {name: self._step(name, target, last[name]) for name, target in targets.items()}

    def left_s(self, targets: Commands, last: Commands) -> float:
        """Time until all commands with a transition rate have reached `targets` from `last`, s."""
        return max((_time_s(targets[name], last[name], rate) for name, rate in self._rates.items()), default=0.0)

    def _step(self, name: str, target: np.ndarray, last: np.ndarray) -> np.ndarray:
        rate = self._rates.get(name)
        left_s = 0.0 if rate is None else _time_s(target, last, rate)
        return target if left_s <= self._period_s else last + (target - last) * (self._period_s / left_s)


class _Start:
    """Where one command begins."""

    def __init__(self, limits: Limits, command: Command):
        self._signal = limits.measured(command)
        if self._signal is not None:
            self._plausible = full(self._signal, self._signal.minimum), full(self._signal, self._signal.maximum)
        self._minimum, self._maximum = full(command, command.minimum), full(command, command.maximum)
        self._safe = full(command, command.safe)

    def __call__(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        value = signals.get(self._signal.name) if self._signal else None
        if value is None or value.shape != self._safe.shape:
            return self._safe
        low, high = self._plausible
        if not ((value >= low) & (value <= high)).all():
            return self._safe
        return np.minimum(np.maximum(value, self._minimum), self._maximum)


def _time_s(target: np.ndarray, last: np.ndarray, rate: np.ndarray) -> float:
    return float((np.abs(target - last) / rate).max())
