"""What a state is worth, by all that the simulation knows of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isthmus_policies.networks.mlp import mlp
from isthmus_policies.networks.normalizer import RunningNormalizer, moments
from isthmus_policies.networks.waves import PARTS, waves
from isthmus_sim.env import Observations
from isthmus_sim.task import Task


class Critic(nn.Module):
    """(n, size) -> (n,).

    Args:
        task: Whose privileged observations it sees: the group "critic", or "actor" where there is none.
        width: Of its three hidden layers.
    """

    def __init__(self, task: Task, width: int = 256) -> None:
        super().__init__()
        self.group = "critic" if "critic" in task.groups else "actor"
        size = task.groups[self.group].size
        self.normalizer = RunningNormalizer(size)
        self.layers = mlp(((1 + PARTS) * size, width, width, width, 1), last_gain=1.0, activation="elu")

    def sees(self, observations: Observations) -> Tensor:
        """(n, size)."""
        return observations[self.group].flatten(1)

    def forward(self, rows: Tensor) -> Tensor:
        scaled = self.normalizer(rows)
        return self.layers(torch.cat((scaled, waves(scaled)), dim=-1)).squeeze(-1)

    def take_in(self, rows: Tensor) -> None:
        """Scale what it sees by these rows (n, size) too."""
        mean, variance = moments(rows)
        self.normalizer.merge(mean, variance, len(rows))
