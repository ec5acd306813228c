"""Levels that went badly come again, and those that nobody tried for long."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_sim.resets.levels.sampler import LevelSampler


class Prioritised(LevelSampler):
    """Prioritised level replay (Jiang et al. 2021) with the share of failures as the score.

    Some levels are new ones, evenly drawn; the others come again from at most `room`: by the rank of their score, in
    proportion to (1/rank)^(1/temperature), and a share of them by how long ago they were last tried. The score of a
    level is the running share of its episodes that failed. The paper's usual score, the error of the learner's value,
    is nothing that an Env knows.

    Args:
        random_share: Of the levels that are new.
        stale_share: How much of the chance to come again is for what was not tried for long.
        temperature: The lower, the more the worst ones come.
        room: Levels that are remembered.
    """

    def __init__(
        self, random_share: float = 0.2, stale_share: float = 0.3, temperature: float = 0.3, room: int = 512
    ) -> None:
        self._random_share, self._stale_share, self._temperature, self._room = (
            random_share, stale_share, temperature, room,
        )  # fmt: skip
        self._levels, self._score, self._tried = torch.zeros(0, 0), torch.zeros(0), torch.zeros(0)
        self._episodes = 0

    def draw(self, n: int, size: int, generator: torch.Generator) -> Tensor:
        even = super().draw(n, size, generator)
        if len(self._levels) == 0:
            return even
        chance = self._chance().to(even.device)
        again = self._levels.to(even)[torch.multinomial(chance, n, replacement=True, generator=generator)]
        random = torch.rand(n, 1, generator=generator, device=even.device) < self._random_share
        return torch.where(random, even, again)

    def _chance(self) -> Tensor:
        beside = self._score.unsqueeze(1)
        rank = (self._score > beside).sum(1) + 0.5 * ((self._score == beside).sum(1) + 1)  # ties share theirs
        by_score = rank.reciprocal() ** (1.0 / self._temperature)
        by_age = self._episodes - self._tried
        shares = by_score / by_score.sum(), by_age / by_age.sum().clamp_min(1.0)
        return (1.0 - self._stale_share) * shares[0] + self._stale_share * shares[1]

    def tell(self, levels: Tensor, returns: Tensor, failed: Tensor, generator: torch.Generator) -> None:
        for level, fail in zip(levels.cpu(), failed.cpu().float(), strict=True):
            self._episodes += 1
            same = (self._levels == level).all(1).nonzero() if len(self._levels) else torch.zeros(0)
            if len(same):
                place = int(same[0])
                self._score[place] += 0.5 * (fail - self._score[place])
                self._tried[place] = self._episodes
            else:
                self._add(level, fail)

    def _add(self, level: Tensor, score: Tensor) -> None:
        """Take in a level; the one that promised least goes where there is no room."""
        if len(self._levels) == self._room:
            keep = torch.ones(self._room, dtype=torch.bool)
            keep[self._chance().argmin()] = False
            self._levels, self._score, self._tried = (v[keep] for v in (self._levels, self._score, self._tried))
        self._levels = torch.cat((self._levels.reshape(-1, len(level)), level.unsqueeze(0)))
        self._score = torch.cat((self._score, score.reshape(1)))
        self._tried = torch.cat((self._tried, torch.tensor([float(self._episodes)])))

    def state_dict(self) -> dict[str, Tensor]:
        return {
            "levels": self._levels, "score": self._score, "tried": self._tried,
            "episodes": torch.tensor(self._episodes, device="cpu"),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._levels, self._score, self._tried = (state[name].cpu() for name in ("levels", "score", "tried"))
        self._episodes = int(state["episodes"])
