"""A Gaussian actor and a value, for algorithms that learn from both. The policies "mlp" and "cnn".

Asymmetry: the critic reads groups that the robot does not have.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from isthmus_policies.networks.cnn import CnnConfig
from isthmus_policies.networks.encoder import Encoder
from isthmus_policies.networks.mlp import mlp
from isthmus_policies.networks.normalizer import RunningNormalizer
from isthmus_policies.networks.policy import Groups, Policy, PolicyEntry, Tensors

MIN_STD, MAX_STD = 0.02, 2.0

AuxiliaryLoss = Callable[[Tensors, Tensor], Tensor]
"""Rows of the groups that a policy learns from, and what the actor's encoder made of them -> a loss, a scalar with its
weight."""


@dataclass(frozen=True, kw_only=True)
class ActorCriticConfig:
    """What is read, sizes of the networks, and how far they explore at first."""

    actor_groups: tuple[str, ...] = ("actor",)
    """Observation groups that the actor reads. The robot must have them."""
    critic_groups: tuple[str, ...] = ("critic",)
    """Observation groups that the critic reads, in simulation only."""
    actor: tuple[int, ...] = (64, 64)
    """Hidden layers of the actor."""
    critic: tuple[int, ...] = (64, 64)
    """Hidden layers of the critic."""
    activation: Literal["tanh", "elu", "relu"] = "tanh"
    """Between the layers of both."""
    hidden_gain: float = math.sqrt(2)
    """Size of the hidden layers' weights at the start. Where inputs are many and correlated, as a history is, less:
    else tanh is at its ends from the start and tells few states apart."""
    initial_std: float = 1.0
    """The action's standard deviation at the start; actions are in [-1, 1]. It is large because a rotor follows
    slowly: of white noise at 100 Hz, a lag of 0.15 s leaves a fifth."""


@dataclass(frozen=True, kw_only=True)
class CnnPolicyConfig(ActorCriticConfig):
    """The same with images among the groups."""

    actor_groups: tuple[str, ...] = ("actor", "image")
    image: CnnConfig = field(default_factory=CnnConfig)


@dataclass(frozen=True, kw_only=True)
class Elements:
    """Some of the numbers of a group, or of what a network gives: from `first` to before `end`, None for all."""

    name: str
    first: int = 0
    end: int | None = None


ACTION, VALUE, UNITS = Elements(name="action"), Elements(name="value"), Elements(name="units")
"""What networks read and give beside groups: the action, the value, units that are a network's own affair."""


@dataclass(frozen=True, kw_only=True)
class Wire:
    """A network (layers of `mlp`, or a GRU cell), what it reads, one after the other, and what it gives."""

    network: nn.Module
    reads: tuple[Elements, ...]
    gives: Elements


@dataclass(frozen=True, kw_only=True)
class Apart:
    """Modules that learn from the auxiliary losses alone, after each update of actor and critic."""

    modules: tuple[nn.Module, ...]
    learning_rate: float
    """It is held for the first half of a training, then falls to nothing."""


class ActorCritic(Policy):
    """Feed-forward networks over groups of their own.

    `sizes` says how many numbers the action and each group has that it reads. A subclass with a memory overrides `act`
    and `mean`. One with a further loss puts it into `auxiliary` by name, and the groups that it reads beyond those of
    actor and critic into `target_groups`. What of it learns by that loss alone is `apart`.
    """

    def __init__(
        self, groups: Groups, action_size: int, config: ActorCriticConfig, *, image: CnnConfig | None = None,
        actor_inputs: int | None = None,
    ) -> None:  # fmt: skip
        """actor_inputs: Numbers that the actor's layers read, by default the encoder's. Raises ValueError for groups
        that are not there or cannot be read."""
        super().__init__()
        self.groups = config.actor_groups
        self.critic_groups = config.critic_groups
        self.target_groups: tuple[str, ...] = ()
        self.auxiliary: dict[str, AuxiliaryLoss] = {}
        self.apart: Apart | None = None
        self.actor_encoder = Encoder(groups, config.actor_groups, image)
        self.critic_encoder = Encoder(groups, config.critic_groups, image)
        self.sizes = {name: groups[name].size for name in (*self.groups, *self.critic_groups)} | {"action": action_size}
        self.value_normalizer = RunningNormalizer(1)
        alike = (config.activation, config.hidden_gain)
        self.actor = mlp((actor_inputs or self.actor_encoder.size, *config.actor, action_size), 0.01, *alike)
        self.critic = mlp((self.critic_encoder.size, *config.critic, 1), 1.0, *alike)
        self.log_std = nn.Parameter(torch.full((action_size,), math.log(config.initial_std)))

    def act(self, observations: Tensors, memory: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        return self.actor(self.actor_encoder(observations)), {}

    def embed(self, observations: Tensors) -> Tensor:
        """(n, features): what the actor's encoder makes of them."""
        return self.actor_encoder(observations)

    def mean(self, features: Tensor, memory: Tensors, done: Tensor) -> Tensor:
        """The mean actions to learn from: of rows (n, …), or with a memory of sequences.

        Args:
            features: What the actor's encoder made of the observations: (n, size), with a memory (steps, n, size).
            memory: Before the first step (n, *shape); empty without one.
            done: (steps, n) bool, where an episode ended after a step and the memory began anew.
        """
        return self.actor(features)

    def value(self, observations: Tensors) -> Tensor:
        """The value (...) in units of reward, for raw observations of the critic's groups."""
        return self.value_normalizer.inverse(self.normalized_value(observations).unsqueeze(-1)).squeeze(-1)

    def normalized_value(self, observations: Tensors) -> Tensor:
        """The value (...) as it is learned, in units of the returns' deviation from their mean."""
        return self.critic(self.critic_encoder(observations)).squeeze(-1)

    @torch.no_grad()
    def rescale_value(self, returns: list[Tensor], n: int) -> None:
        """Take returns into the value's normaliser and keep `value` the same (PopArt, van Hasselt et al. 2016).

        Args:
            returns: Mean and variance (2, 1) of n returns, of every process.
            n: How many they are of.
        """
        normalizer, last = self.value_normalizer, self.critic[-1]
        assert isinstance(last, nn.Linear)
        scale, shift = normalizer.scale.clone(), normalizer.shift.clone()
        for mean, variance in returns:
            normalizer.merge(mean, variance, n)
        ratio = normalizer.scale / scale
        last.weight *= ratio
        last.bias.copy_(last.bias * ratio + (shift - normalizer.shift) * normalizer.scale)

    def std(self) -> Tensor:
        """Standard deviation (action_size,). Positive and bounded whatever the optimiser does to its logarithm."""
        return self.log_std.clamp(math.log(MIN_STD), math.log(MAX_STD)).exp()

    def std_moves(self) -> Tensor:
        """(action_size,) bool: where `std` follows the parameter, not held by a bound."""
        return (self.log_std >= math.log(MIN_STD)) & (self.log_std <= math.log(MAX_STD))

    def learns_from(self) -> tuple[str, ...]:
        """The groups that learning needs: those of actor, critic and auxiliary losses, each once."""
        return tuple(dict.fromkeys((*self.groups, *self.critic_groups, *self.target_groups)))

    def normalizers(self) -> list[tuple[str, RunningNormalizer]]:
        """What takes in the observations of which group after an update."""
        return [*self.actor_encoder.normalizers(), *self.critic_encoder.normalizers()]

    def wires(self) -> list[Wire]:
        """How every network hangs together with the groups: what `algorithms.symmetry` ties weights by."""
        return [
            Wire(network=self.actor, reads=whole(self.groups), gives=ACTION),
            Wire(network=self.critic, reads=whole(self.critic_groups), gives=VALUE),
        ]


def whole(names: tuple[str, ...]) -> tuple[Elements, ...]:
    """All numbers of these groups."""
    return tuple(Elements(name=name) for name in names)


def _cnn(config: CnnPolicyConfig, groups: Groups, action_size: int) -> ActorCritic:
    return ActorCritic(groups, action_size, config, image=config.image)


MLP = PolicyEntry(config=ActorCriticConfig(), make=lambda config, groups, size: ActorCritic(groups, size, config))
CNN = PolicyEntry(config=CnnPolicyConfig(), make=_cnn)
