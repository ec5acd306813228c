"""What many worlds decided while experience was collected, and what it was worth.

Worlds decide at different times, as their episodes end at different times: a table has a row a world and a place for
each decision, filled from the left.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(kw_only=True)
class Experience:
    """m decisions: what is learned from."""

    seen: dict[str, Tensor]
    """What the explorer's mean followed from, each (m, …)."""
    drawn: Tensor
    """(m, …): what the explorer drew around the mean."""
    mean: Tensor
    privileged: Tensor
    """(m, size): what the critic sees."""
    advantage: Tensor
    value: Tensor
    """(m,): what the critic should have said."""


class Table:
    """Decisions of n worlds, at most `places` each. Every value that is kept is (n, places, …)."""

    def __init__(self, worlds: int, places: int, device: torch.device) -> None:
        self._device, self._shape = device, (worlds, places)
        self._kept: dict[str, Tensor] = {}
        self.count = torch.zeros(worlds, dtype=torch.long, device=device)
        self.reward, self.value, self.then = (torch.zeros(self._shape, device=device) for _ in range(3))
        self.discount = torch.ones(self._shape, device=device)
        self.ended = torch.zeros(self._shape, dtype=torch.bool, device=device)

    def decide(self, worlds: Tensor, value: Tensor, **given: Tensor) -> None:
        """Worlds (k,) decide anew, in states of this value (k,); given: what is kept, each (k, …)."""
        places = self.count[worlds]
        self.count[worlds] += 1
        self.value[worlds, places] = value
        for name, rows in given.items():
            if name not in self._kept:
                self._kept[name] = torch.zeros(*self._shape, *rows.shape[1:], dtype=rows.dtype, device=self._device)
            self._kept[name][worlds, places] = rows

    def earn(self, reward: Tensor, discount: float) -> None:
        """A control step's reward (n,), for what was last decided."""
        last = (torch.arange(len(reward), device=self._device), self.count - 1)
        self.reward[last] += self.discount[last] * reward
        self.discount[last] *= discount

    def end(self, worlds: Tensor, then: Tensor) -> None:
        """Episodes of worlds (k,) end, in states of value `then` (k,): 0 where nothing more could come."""
        self.ended[worlds, self.count[worlds] - 1] = True
        self.then[worlds, self.count[worlds] - 1] = then

    def made(self) -> Tensor:
        """(n, places): where there is a decision."""
        return torch.arange(self._shape[1], device=self._device) < self.count.unsqueeze(1)

    @property
    def names(self) -> tuple[str, ...]:
        """What is kept of a decision."""
        return tuple(self._kept)

    def kept(self, name: str) -> Tensor:
        """(m, …): one of the values that are kept, of all decisions."""
        return self._kept[name][self.made()]

    def advantages(self, now: Tensor, lam: float) -> tuple[Tensor, Tensor]:
        """Generalised advantage estimates (Schulman et al. 2016) over decisions that take different times, and values
        that follow from them: each (m,). now: (n,) values of the states that the worlds are in."""
        made, later, value = self.made(), torch.zeros_like(now), now
        advantage = torch.zeros(self._shape, device=self._device)
        for place in reversed(range(self._shape[1])):
            here, ended = made[:, place], self.ended[:, place]
            then = torch.where(ended, self.then[:, place], value)
            missed = self.reward[:, place] + self.discount[:, place] * then - self.value[:, place]
            found = missed + torch.where(ended, 0.0, self.discount[:, place] * lam * later)
            advantage[:, place] = found
            later, value = torch.where(here, found, later), torch.where(here, self.value[:, place], value)
        return advantage[made], (advantage + self.value)[made]
