"""The policy "averaging_estimator": it also acts on what its estimates are on average.

A drift that is small beside the sway of every step shows in the average alone, as with the integral in a PID
controller: what is off on average, and cannot be measured, can so be steered against.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_policies.networks.estimator import EstimatorConfig, EstimatorPolicy
from isthmus_policies.networks.policy import Groups, PolicyEntry, Tensors
from isthmus_sim.task import Group


@dataclass(frozen=True, kw_only=True)
class AveragingEstimatorConfig(EstimatorConfig):
    """The same with a memory of estimates."""

    steps: int = 50
    """Time constant of the average, control steps."""


class AveragingEstimator(EstimatorPolicy):
    """Observations -> estimate; estimate and average -> next average; observations, estimate and average -> action."""

    told = 2

    def __init__(self, groups: Groups, action_size: int, config: AveragingEstimatorConfig) -> None:
        if config.steps < 1:
            raise ValueError(f"steps must be at least 1, got {config.steps}")
        super().__init__(groups, action_size, config)
        last = self.estimator[-1]
        assert isinstance(last, torch.nn.Linear)
        self.memory = {"average": Group(shape=(last.out_features,))}
        self._share = 1.0 / config.steps

    def act(self, observations: Tensors, memory: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        features = self.actor_encoder(observations)
        estimate = self.estimator(features)
        average = torch.lerp(memory["average"], estimate, self._share)
        return self.actor(torch.cat((self.direct(features), estimate, average), dim=-1)), {"average": average}

    def mean(self, features: Tensor, memory: Tensors, done: Tensor) -> Tensor:
        estimates, average, averages = self.estimator(features).detach(), memory["average"], []
        for estimate, ends in zip(estimates, done, strict=True):
            average = torch.lerp(average, estimate, self._share)
            averages.append(average)
            average = average.masked_fill(ends.unsqueeze(-1), 0.0)
        return self.actor(torch.cat((self.direct(features), estimates, torch.stack(averages)), dim=-1))


AVERAGING_ESTIMATOR = PolicyEntry(
    config=AveragingEstimatorConfig(), make=lambda config, groups, size: AveragingEstimator(groups, size, config)
)
