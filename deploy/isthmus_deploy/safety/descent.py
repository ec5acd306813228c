"""The way to the safe command, round what tools are kept out of."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from isthmus_deploy.contracts.limits import Limits
from isthmus_deploy.contracts.safety_data import Safety
from isthmus_deploy.safety.commands.filter import SafetyFilter
from isthmus_deploy.safety.transition import Transition

Commands = Mapping[str, np.ndarray]
_PATIENCE = 2
"""So many times as long as the straight way may the way round take. A robot must come to rest in the end."""


class Descent:
    """Moves commands to the safe ones as `Transition` does: open loop, whatever the sensors say.

    A straight line of joint angles is none of the tool: it may pass through a table. So commands with a
    `transition_rate` whose targets put a tool somewhere pass the workspace stage of the filter, which leads them along
    the border. Where that does not come to the safe command in time, as into a safe pose beyond a border, they go
    straight.

    Args:
        limits: The commands' rates and ranges, and the tools.
        period_s: Time from one call of `towards` to the next.
    """

    def __init__(self, limits: Limits, period_s: float):
        self._transition, self._period_s = Transition(limits, period_s), period_s
        self._slow = [item.name for item in limits.commands if item.transition_rate is not None]
        tools = tuple(tool for tool in limits.safety.tools if tool.command in self._slow) if limits.safety else ()
        kept = dataclasses.replace(limits, safety=Safety(tools=tools))
        self._filter = SafetyFilter(kept, period_s) if tools else None
        self._calls_left: int | None = None

    def begin(self) -> None:
        """The next call of `towards` is the first on a way."""
        self._calls_left = None

    def towards(self, safe: Commands, last: Commands) -> dict[str, np.ndarray]:
        """The commands of the next period on the way from `last` to `safe`."""
        straight = self._transition.towards(safe, last)
        if self._filter is None:
            return straight
        if self._calls_left is None:
            self._filter.reset(last)
            self._calls_left = _PATIENCE * math.ceil(self._transition.left_s(safe, last) / self._period_s)
        if self._calls_left == 0:
            return straight
        self._calls_left -= 1
        round_ = self._filter.apply(straight)
        return straight | {name: round_[name] for name in self._slow}
