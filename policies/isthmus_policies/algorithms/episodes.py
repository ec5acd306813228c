"""How the episodes went that ended while experience was collected."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from isthmus_policies.distributed import total
from isthmus_sim.env import Divergence, Step

COLUMNS = ("episode/return", "episode/length", "episode/timed_out", "episode/succeeded")


@dataclass(kw_only=True)
class EpisodeStatistics:
    """Statistics of the ended episodes. `add` only keeps, `summary` adds up: a GPU is waited for once."""

    names: tuple[str, ...] = ()
    """The reward's terms."""
    steps: int = 0
    """Control steps taken, over all worlds of this process."""
    diverged: int = 0
    """Worlds that diverged and were reset."""
    divergences: list[Divergence] = field(default_factory=list)
    """They themselves, where the engine could keep them."""
    lengths: list[Tensor] = field(default_factory=list)
    timed_out: list[Tensor] = field(default_factory=list)
    succeeded: list[Tensor] = field(default_factory=list)
    terms: list[Tensor] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """Take in one control step of all worlds."""
        self.steps += len(step.reward)
        self.diverged += step.diverged
        if step.divergence is not None:
            self.divergences.append(step.divergence)
        if len(step.ended) == 0:
            return
        self.lengths.append(step.episode_length)
        self.timed_out.append(step.truncated[step.ended])
        self.succeeded.append(step.succeeded[step.ended])
        self.terms.append(torch.stack([step.episode_terms[name] for name in self.names]))

    def summary(self) -> dict[str, float]:
        """Means per episode, of all processes; empty when none ended."""
        sums = [0.0] * (3 + len(self.names))
        if self.lengths:
            ends = torch.stack([torch.cat(values) for values in (self.lengths, self.timed_out, self.succeeded)])
            sums = torch.cat((ends, torch.cat(self.terms, dim=1))).double().sum(1).tolist()
        episodes, *sums = total(sum(map(len, self.lengths)), *sums)
        if episodes == 0:
            return {}
        length, timed_out, succeeded, *terms = (value / episodes for value in sums)
        return {
            **dict(zip(COLUMNS, (sum(terms), length, timed_out, succeeded), strict=True)),
            **{f"reward/{name}": value for name, value in zip(self.names, terms, strict=True)},
        }
