"""Which actions somebody minds. A `Rule` is asked after every control step."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from isthmus_policies.networks.policy import Tensors
from isthmus_policies.networks.squashed import SquashedActorCritic


class Rule(Protocol):
    """Whether somebody minds what was done."""

    groups: tuple[str, ...]
    """Observation groups that it reads."""

    def objects(self, observations: Tensors, action: Tensor) -> Tensor:
        """(N,) bool: whether it minds these actions (N, k), done upon the observations (N, *shape)."""
        ...


class ValueGap:
    """Minds an action that is worth less than the judge's own by more than a margin: Q(s, a) < Q(s, a*) - margin, with
    the least of the judge's critics (after Luo et al. 2023, "RLIF", section 5)."""

    def __init__(self, judge: SquashedActorCritic, margin: float) -> None:
        self._judge, self._margin = judge, margin
        self.groups = judge.learns_from()

    def gap(self, observations: Tensors, action: Tensor) -> Tensor:
        """(N,): how much less the actions are worth, in units of the judge's reward."""
        own, _ = self._judge.act(observations, {}, {})
        best, done = (self._judge.critics(self._judge.judged(observations, each)).amin(0) for each in (own, action))
        return best - done

    def objects(self, observations: Tensors, action: Tensor) -> Tensor:
        return self.gap(observations, action) > self._margin


class Trouble:
    """Minds whatever is done where the task says that somebody who looks on would take over: its group "trouble" is 1
    or more. A person sees that without critics."""

    groups: tuple[str, ...] = ("trouble",)

    def objects(self, observations: Tensors, action: Tensor) -> Tensor:
        return observations["trouble"][:, 0] >= 1.0


class Anything:
    """Minds any action: takes over at random, then."""

    groups = ()

    def objects(self, observations: Tensors, action: Tensor) -> Tensor:
        return torch.ones(len(action), dtype=torch.bool, device=action.device)
