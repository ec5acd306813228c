"""How far commands may move in a control period: acceleration, the way to their ends, rate."""

import numpy as np

from isthmus_deploy.contracts.limits import Command, Limits
from isthmus_deploy.contracts.safety_data import CommandSafety
from isthmus_deploy.safety.commands.barriers import BrakingBarrier
from isthmus_deploy.safety.commands.elements import flat, full, slices

_NO_LIMIT = 4.0  # ranges: two steps in a row differ by two ranges at most
_SIDES = np.array([[-1.0], [1.0]])  # what is below and above


class StepLimits:
    """Holds the step of every element of the flat commands. What they hold cannot conflict: `BrakingBarrier` says why.

    A command with an acceleration limit follows what is wanted without overshoot: the step goes along with what is
    wanted, and what it lags behind is caught up no faster than can be braked. A wanted value that suddenly stands still
    is overshot by what braking takes, and no more.

    Args:
        limits: Of the commands.
        period_s: Time from one call to the next.
    """

    def __init__(self, limits: Limits, period_s: float):
        said = {item.command: item for item in limits.safety.commands} if limits.safety else {}
        self.last = flat(limits.commands, "safe")
        """What was sent last; changed by `take`, or from outside before `reset`."""
        size = len(self.last)
        self.largest = flat(limits.commands, "max_rate") * period_s
        """The largest step of each element."""
        self._low, self._high = flat(limits.commands, "minimum"), flat(limits.commands, "maximum")
        self.change = _NO_LIMIT * (self._high - self._low)
        """The largest change from one step to the next."""
        share = np.ones((3, size))  # of the distances down, up and to what was wanted
        for item, part in zip(limits.commands, slices(limits.commands), strict=True):
            if item.name in said:
                self._hold(item, said[item.name], part, period_s)
                share[:2, part] = min(1.0, (said[item.name].approach_rate or np.inf) * period_s)
        self.accelerates = any(item.max_acceleration is not None for item in said.values())
        """Whether any command has an acceleration limit."""
        self.approaches = self.accelerates or any(item.approach_rate is not None for item in said.values())
        """Whether any command's ends are approached by a barrier."""
        self._barrier = BrakingBarrier(share, self.change if self.accelerates else None)
        self._largest, self._change = _SIDES * self.largest, _SIDES * self.change
        self._distance, self._room, self._bounds = np.zeros((3, size)), np.zeros((3, size)), np.zeros((2, size))
        self._down, self._up, self._behind = self._distance
        self._room_down, self._room_up, self._caught_up = self._room
        self._least, self._most = self._bounds
        self._step, self._wanted, self._error = np.zeros(size), np.zeros(size), np.zeros(size)

    def _hold(self, item: Command, said: CommandSafety, part: slice, period_s: float) -> None:
        if said.max_acceleration is not None:
            self.change[part] = full(item, said.max_acceleration).reshape(-1) * period_s**2
        if said.soft_minimum is not None:
            self._low[part] = full(item, said.soft_minimum).reshape(-1)
        if said.soft_maximum is not None:
            self._high[part] = full(item, said.soft_maximum).reshape(-1)

    def reset(self) -> None:
        """`last` was set from outside: the robot stands there."""
        self._step.fill(0.0)
        np.copyto(self._wanted, self.last)

    def take(self, sent: np.ndarray) -> None:
        """The flat commands are what is sent now."""
        if self.accelerates:
            np.subtract(sent, self.last, out=self._step)
        np.copyto(self.last, sent)

    def measure(self) -> None:
        """Work out how far this call may go; before `accelerate` and `approach`."""
        np.subtract(self.last, self._low, out=self._down)
        np.subtract(self._high, self.last, out=self._up)
        np.maximum(self._distance, 0.0, out=self._distance)  # beyond a soft end there is no way on
        np.subtract(self._wanted, self.last, out=self._error)
        np.abs(self._error, out=self._behind)
        self._barrier(self._distance, self._room)

    def accelerate(self, wanted: np.ndarray, out: np.ndarray) -> None:
        """Write what the acceleration allows of the `wanted` to `out`."""
        np.copyto(self._wanted, wanted)
        np.subtract(self._behind, self._caught_up, out=out)
        np.copysign(out, self._error, out=out)
        np.subtract(wanted, out, out=out)
        np.add(self.last, self._step, out=self._least)
        np.add(self._least, self._change, out=self._bounds)
        self._clip(out, out)

    def approach(self, wanted: np.ndarray, out: np.ndarray) -> None:
        """Write what the way to the ends allows of the `wanted` to `out`; beyond a soft end, only the way back."""
        np.subtract(self.last, self._room_down, out=self._least)
        np.add(self.last, self._room_up, out=self._most)
        self._clip(wanted, out)

    def rate(self, wanted: np.ndarray, out: np.ndarray) -> None:
        """Write what the rate allows of the `wanted` to `out`."""
        np.add(self.last, self._largest, out=self._bounds)
        self._clip(wanted, out)

    def _clip(self, wanted: np.ndarray, out: np.ndarray) -> None:
        np.maximum(wanted, self._least, out=out)
        np.minimum(out, self._most, out=out)

    def window(self, elements: np.ndarray) -> tuple[list[float], list[float], list[float]]:
        """Least and greatest step of these elements in this call, and the step before."""
        largest, before, last = self.largest[elements], self._step[elements], self.last[elements]
        if self.approaches:
            least, most = -self._room_down[elements], self._room_up[elements]
        else:
            least, most = self._low[elements] - last, self._high[elements] - last
        least, most = np.maximum(least, -largest), np.minimum(most, largest)
        if self.accelerates:
            change = self.change[elements]
            least, most = np.maximum(least, before - change), np.minimum(most, before + change)
        return least.tolist(), most.tolist(), before.tolist()
