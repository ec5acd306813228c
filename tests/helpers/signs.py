"""Worlds in which an action should match a sign: what a learning algorithm can be shown to learn in a second."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor

from isthmus_sim.env import Step
from isthmus_sim.task import Group

GROUPS = {
    "actor": Group(shape=(2,)), "critic": Group(shape=(3,)), "image": Group(shape=(8, 8, 3), dtype="uint8"),
}  # fmt: skip


@dataclass(frozen=True)
class SignsConfig:
    """What a task says of itself."""

    scale: float = 1.0


class Signs:
    """What an algorithm sees of an Env: each world has a sign, and the action's first number should be it.

    The sign is at the side of the image where one is bright, in "actor" only in an episode's first step, and always in
    "critic". Episodes last 4 steps, then they are cut.
    """

    reward_terms = ("match",)
    groups, action_size, mirror = GROUPS, 2, {}
    name, config, robot = "signs", SignsConfig(), SimpleNamespace(commands=())
    capabilities = frozenset({"snapshots"})

    def __init__(self, num_envs: int = 32) -> None:
        self.task = self.engine = self
        self.num_envs, self.device = num_envs, torch.device("cpu")
        self._generator = torch.Generator().manual_seed(0)
        self._step = 0

    def reset(self) -> dict[str, Tensor]:
        self._sign = 2.0 * torch.randint(2, (self.num_envs,), generator=self._generator) - 1.0
        self._step = 0
        return self._observe()

    def _observe(self) -> dict[str, Tensor]:
        n, sign = self.num_envs, self._sign
        image = torch.zeros(n, 8, 8, 3, dtype=torch.uint8)
        image[sign > 0, :, 4:] = 255
        image[sign < 0, :, :4] = 255
        first = float(self._step == 0)
        actor = torch.stack((sign * first, torch.full((n,), first)), dim=-1)
        return {"actor": actor, "critic": torch.stack((sign, sign, torch.ones(n)), dim=-1), "image": image}

    def step(self, action: Tensor) -> Step:
        reward = 1.0 - (action[:, 0] - self._sign).square()
        self._step += 1
        final = observations = self._observe()
        late = torch.full((self.num_envs,), self._step == 4)
        ended = late.nonzero().squeeze(-1)
        if len(ended):
            observations = self.reset()
        return Step(
            observations=observations, commands={}, reward=reward, terminated=torch.zeros_like(late),
            succeeded=torch.zeros_like(late), truncated=late, metrics={}, ended=ended,
            final={name: value[ended] for name, value in final.items()}, episode_terms={"match": reward[ended]},
            episode_length=torch.full((len(ended),), 4), diverged=0, divergence=None,
        )  # fmt: skip
