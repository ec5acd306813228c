"""What is added to the next action of a plan, so that it leads to success where the plan as it is would not.

A policy that makes a plan anew at every tick does only its first action. A small network that sees the observation and
the plan moves that action; the plan itself stays what was demonstrated (residual reinforcement learning: Johannink et
al. 2019; of chunk policies: Ankile et al. 2024, "From Imitation to Refinement").
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isthmus_policies.networks.mlp import mlp
from isthmus_policies.networks.normalizer import RunningNormalizer, moments
from isthmus_policies.networks.waves import PARTS, waves

_REACH = 0.1
"""The network's unit, in scaled actions, which range from -1 to 1: corrections are small beside what is corrected."""


class Correction(nn.Module):
    """Observations and a plan -> a normal distribution of what is added to the plan's first action; about 0 at first.

    Args:
        seen: Numbers of an observation, all its rows.
        shape: (horizon, action_size) of plans.
        width: Of its two hidden layers.
        deviation: Standard deviation at the start, scaled.
    """

    def __init__(self, seen: int, shape: tuple[int, int], width: int, deviation: float = 1.0) -> None:
        super().__init__()
        self._seen, size = seen, seen + shape[0] * shape[1]
        self.normalizer = RunningNormalizer(size)
        self.layers = mlp((size + PARTS * seen, width, width, shape[1]), last_gain=0.01, activation="elu")
        self.log_deviation = nn.Parameter(torch.full((1, shape[1]), deviation).log())

    @staticmethod
    def sees(observation: list[Tensor], plan: Tensor) -> Tensor:
        """(n, size): scaled columns, each (n, observed, …), and a scaled plan (n, horizon, action_size)."""
        return torch.cat([part.flatten(1) for part in (*observation, plan)], dim=-1)

    def mean(self, seen: Tensor) -> Tensor:
        """(n, size) -> (n, 1, action_size)."""
        scaled = self.normalizer(seen)
        return _REACH * self.layers(torch.cat((scaled, waves(scaled[:, : self._seen])), dim=-1)).unsqueeze(1)

    def forward(self, observation: list[Tensor], plan: Tensor) -> Tensor:
        """The plan, its first action corrected."""
        first = plan[:, :1] + self.mean(self.sees(observation, plan))
        return torch.cat((first, plan[:, 1:]), dim=1)

    def take_in(self, seen: Tensor) -> None:
        """Scale what it sees by these rows (n, size) too."""
        mean, variance = moments(seen)
        self.normalizer.merge(mean, variance, len(seen))
