"""How far commands may move in a control period: range, acceleration, rate, and the way to their ends."""

import math
from math import sqrt
from typing import NamedTuple

from isthmus_deploy.contracts.limits import Command, Limits
from isthmus_deploy.contracts.safety_data import CommandSafety
from isthmus_deploy.safety.commands.barriers import BrakingBarrier
from isthmus_deploy.safety.commands.elements import full


class _Element(NamedTuple):
    """What one element is held to, in its unit."""

    minimum: float
    maximum: float
    low: float  # the ends that are approached
    high: float
    largest: float  # step
    change: float  # from one step to the next; infinite for any
    slack: float  # behind what was wanted: what can be caught up at once, and its root
    root: float
    free: float  # distance to an end from where on it slows nothing: the rate does
    barrier: BrakingBarrier


class StepLimits:
    """Holds every element of the flat commands. What its limits hold cannot conflict: `BrakingBarrier` says why.

    A command with an acceleration limit follows what is wanted without overshoot: the step goes along with what is
    wanted, and what it lags behind is caught up no faster than can be braked. A wanted value that suddenly stands still
    is overshot by what braking takes, and no more.

    All is plain numbers: for a dozen elements that takes about half the time of array operations.
    Where nothing limits the acceleration, it is infinite. What the way to an end allows is that of `BrakingBarrier`,
    written out. Behind what was wanted by e, its B for σ = 1 is caught up, and e - B(e) is (√e - √(A/2))².

    Args:
        limits: Of the commands.
        period_s: Time from one call to the next.
    """

    def __init__(self, limits: Limits, period_s: float):
        said = {item.command: item for item in limits.safety.commands} if limits.safety else {}
        self.accelerates = any(item.max_acceleration is not None for item in said.values())
        """Whether any command has an acceleration limit."""
        self.approaches = self.accelerates or any(item.approach_rate is not None for item in said.values())
        """Whether any command's ends are approached by a barrier."""
        self.elements: list[_Element] = []
        """What each is held to."""
        for item in limits.commands:
            self.elements += _elements(item, said.get(item.name, CommandSafety(command=item.name)), period_s)
        self._rows = [(*element[:-1], *element.barrier) for element in self.elements]  # tuples unpack faster unnamed
        self.reset([float(value) for item in limits.commands for value in full(item, item.safe).reshape(-1)])

    def reset(self, last: list[float]) -> None:
        """The robot stands at `last`."""
        self.last = self._before = self._wanted = last
        """What was sent last."""

    def take(self, wanted: list[float], sent: list[float]) -> None:
        """The flat commands are what is sent now, of what was `wanted`."""
        self._wanted, self._before, self.last = wanted, self.last, sent

    def hold(self, asked: list[float]) -> tuple[list[float], list[float], list[float]]:
        """What the range allows of what is `asked`; what the acceleration allows of that; and of that, the rate and the
        way to the ends."""
        wanted, accelerated, sent = [], [], []
        for target, goal, last, before, row in zip(asked, self._wanted, self.last, self._before, self._rows):
            minimum, maximum, low, high, largest, change, slack, root, free, share, touch, twice, shift, half = row
            if target > maximum:
                target = maximum
            elif target < minimum:
                target = minimum
            wanted.append(target)
            behind = goal - last
            if behind > slack:
                lag = sqrt(behind) - root
                target -= lag * lag
            elif behind < -slack:
                lag = sqrt(-behind) - root
                target += lag * lag
            steady = last + last - before
            if target > steady + change:
                target = steady + change
            elif target < steady - change:
                target = steady - change
            accelerated.append(target)
            if target > last:
                if target > last + largest:
                    target = last + largest
                left = high - last
                if left < free:
                    most = last + (sqrt(twice * left - shift) - half if left > touch else share * left)
                    if target > most:
                        target = most
                if target > high:
                    target = high if last < high else last
            else:
                if target < last - largest:
                    target = last - largest
                left = last - low
                if left < free:
                    least = last - (sqrt(twice * left - shift) - half if left > touch else share * left)
                    if target < least:
                        target = least
                if target < low:
                    target = low if last > low else last
            sent.append(target)
        return wanted, accelerated, sent

    def window(self, elements: list[int]) -> tuple[list[float], list[float], list[float]]:
        """Least and greatest step of these elements in this call, and the step before."""
        least, most, befores = [], [], []
        for index in elements:
            element, last = self.elements[index], self.last[index]
            before = last - self._before[index]
            down, up = element.barrier(last - element.low), element.barrier(element.high - last)
            least.append(max(-down, -element.largest, before - element.change))
            most.append(min(up, element.largest, before + element.change))
            befores.append(before)
        return least, most, befores

    def moved(self, index: int, step: float) -> float:
        """Where a step within the window takes an element, but for a rounding not beyond its ends."""
        element, last = self.elements[index], self.last[index]
        return min(max(last + step, min(element.low, last)), max(element.high, last))


def _elements(item: Command, said: CommandSafety, period_s: float) -> list[_Element]:
    """What the elements of one command are held to."""
    rate = full(item, item.max_rate) * period_s
    acceleration = full(item, said.max_acceleration or (math.inf,)) * period_s**2
    ends = (item.minimum, item.maximum, said.soft_minimum or item.minimum, said.soft_maximum or item.maximum)
    columns = [*(full(item, values) for values in ends), rate, acceleration]
    share = min(1.0, (said.approach_rate or math.inf) * period_s)
    rows = zip(*(column.reshape(-1).tolist() for column in columns), strict=True)
    return [_element(*row, share=share) for row in rows]


def _element(
    minimum: float, maximum: float, low: float, high: float, largest: float, change: float, *, share: float
) -> _Element:
    slack, barrier = 0.5 * change, BrakingBarrier.of(share, change)
    free = barrier.distance(largest)
    return _Element(minimum, maximum, low, high, largest, change, slack, math.sqrt(slack), free, barrier)
