"""The policy "estimator": it estimates what the robot cannot measure, and acts on the estimate too.

Ji et al. 2022, "Concurrent Training of a Control Policy and a State Estimator for Dynamic and Robust Legged
Locomotion": the estimator learns from simulation's truth, beside the actor and not through it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from isthmus_policies.networks.actor_critic import ActorCritic, ActorCriticConfig, Apart, Elements, Wire, whole
from isthmus_policies.networks.cnn import CnnConfig
from isthmus_policies.networks.encoder import Encoder
from isthmus_policies.networks.mlp import mlp
from isthmus_policies.networks.normalizer import RunningNormalizer
from isthmus_policies.networks.policy import Groups, PolicyEntry, Tensors, require_groups


@dataclass(frozen=True, kw_only=True)
class EstimatorConfig(ActorCriticConfig):
    """The same with an estimator in front of the actor."""

    estimator: tuple[int, ...] = (64,)
    """Hidden layers of the estimator. It reads the actor's groups."""
    target: str = "critic"
    """The observation group that it estimates, from what the robot measures."""
    first: int = 0
    """The first number of that group that is estimated."""
    end: int | None = None
    """The number before which the estimate ends; by default the group's end."""
    weight: float = 1.0
    """Weight of the squared error, in units of each number's variance, beside the policy's loss."""
    learning_rate: float | None = None
    """None: the estimator, and what reads the observations, learn together with the actor. Otherwise in a phase of
    their own after each of its updates, from the estimate's error alone and at this rate, which is held for half of
    the training and then falls to nothing."""
    direct_groups: tuple[str, ...] | None = None
    """Groups that the actor reads itself, beside the estimate; by default all that the estimator reads."""
    image: CnnConfig = field(default_factory=CnnConfig)
    """How images among the groups are read."""


class EstimatorPolicy(ActorCritic):
    """Observations -> estimate; observations and estimate -> action. The estimate is in units of each number's
    deviation from its mean."""

    told = 1
    """How many numbers the actor is told for each one that is estimated."""

    def __init__(self, groups: Groups, action_size: int, config: EstimatorConfig) -> None:
        truth = Encoder(groups, (config.target,))
        first, end = config.first, truth.size if config.end is None else config.end
        if not 0 <= first < end <= truth.size:
            raise ValueError(f"numbers {first} to {end} are none of group {config.target!r}, which has {truth.size}")
        direct = config.actor_groups if config.direct_groups is None else config.direct_groups
        read = Encoder(groups, config.actor_groups, config.image)
        require_groups(direct, {name: groups[name] for name in config.actor_groups})
        told = self.told * (end - first)
        super().__init__(groups, action_size, config, image=config.image, actor_inputs=read.size_of(direct) + told)
        self._target = Elements(name=config.target, first=first, end=end)
        self._weight = config.weight
        self._direct = direct
        self.estimator = mlp((read.size, *config.estimator, end - first), 1.0, config.activation, config.hidden_gain)
        self.truth_encoder = truth
        self.target_groups = (config.target,)
        self.sizes[config.target] = truth.size
        self.auxiliary["estimate"] = self.estimation_loss
        if config.learning_rate is not None:
            self.apart = Apart(modules=(self.actor_encoder, self.estimator), learning_rate=config.learning_rate)

    def act(self, observations: Tensors, memory: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        return self._action(self.actor_encoder(observations)), {}

    def mean(self, features: Tensor, memory: Tensors, done: Tensor) -> Tensor:
        return self._action(features)

    def _action(self, features: Tensor) -> Tensor:
        return self.actor(torch.cat((self.direct(features), self.estimator(features).detach()), dim=-1))

    def direct(self, features: Tensor) -> Tensor:
        """What of the encoder's features the actor reads itself."""
        return self.actor_encoder.part_of(features, self._direct)

    def estimation_loss(self, observations: Tensors, features: Tensor) -> Tensor:
        """Mean squared error of the estimate, weighted."""
        truth = self.truth_encoder(observations)[..., self._target.first : self._target.end]
        return self._weight * (self.estimator(features) - truth).square().mean()

    def normalizers(self) -> list[tuple[str, RunningNormalizer]]:
        return [*super().normalizers(), *self.truth_encoder.normalizers()]

    def wires(self) -> list[Wire]:
        actor, critic = super().wires()
        return [
            Wire(network=self.estimator, reads=whole(self.groups), gives=self._target),
            Wire(network=actor.network, reads=(*whole(self._direct), *[self._target] * self.told), gives=actor.gives),
            critic,
        ]


ESTIMATOR = PolicyEntry(
    config=EstimatorConfig(), make=lambda config, groups, size: EstimatorPolicy(groups, size, config)
)
