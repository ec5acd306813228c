"""How a robot is damped through targets of position: they follow where it is, so that no stiffness acts."""

from collections.abc import Mapping

import numpy as np

from isthmus_deploy.contracts.limits import Command, Limits
from isthmus_deploy.safety.commands.elements import full

Commands = Mapping[str, np.ndarray]


class Damping:
    """Commands of a robot that is damped.

    A joint's drive makes the torque stiffness · (target - position) - damping · velocity. With the target where the
    joint is, only the damping is left. A command of which nothing is measured is the safe one.

    Args:
        limits: The commands, and the readings that measure them.
    """

    def __init__(self, limits: Limits):
        self._followers = {item.name: _Follower(limits, item) for item in limits.commands}

    def follow(self, signals: Mapping[str, np.ndarray], last: Commands) -> dict[str, np.ndarray]:
        """The commands of this period (float64), by name; a joint without a plausible reading keeps its last target."""
        return {name: follower(signals, last[name]) for name, follower in self._followers.items()}


class _Follower:
    def __init__(self, limits: Limits, command: Command):
        signal = limits.measured(command)
        self._name = None if signal is None else signal.name
        self._safe = full(command, command.safe)
        self._minimum, self._maximum = full(command, command.minimum), full(command, command.maximum)

    def __call__(self, signals: Mapping[str, np.ndarray], last: np.ndarray) -> np.ndarray:
        if self._name is None:
            return self._safe
        value = signals.get(self._name)
        if value is None or value.shape != last.shape:
            return last.copy()
        held = np.minimum(np.maximum(value, self._minimum), self._maximum)
        return np.where(np.isfinite(value), held, last)
