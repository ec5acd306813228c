"""Episodes begin in states that somebody has shown, at rest, with whatever else is drawn for them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from isthmus_sim.engine import State
from isthmus_sim.resets.starts import Starts, drawn


@dataclass(frozen=True, kw_only=True)
class Shown(Starts):
    """States in which episodes may begin as well, such as those of a dataset of demonstrations (Peng et al. 2018,
    "DeepMimic", reference state initialization): what comes late in an episode is then met often. Any engine does.

    states: n rows of every quantity that the task's starts set; share: of the episodes that begin in one of them.
    """

    shown: State
    share: float

    def states(self, start: State, generator: torch.Generator) -> State:
        """Raises ValueError where the task's starts set other quantities."""
        if start.keys() != self.shown.keys():
            raise ValueError(f"episodes start with {', '.join(start)}; shown is {', '.join(self.shown)}")
        n, device = len(next(iter(start.values()))), generator.device
        which = torch.randint(len(next(iter(self.shown.values()))), (n,), generator=generator, device=device)
        there = drawn(n, self.share, generator)
        chosen = {name: value.to(device)[which[there]] for name, value in self.shown.items()}
        return {name: value.index_copy(0, there, chosen[name].to(value)) for name, value in start.items()}
