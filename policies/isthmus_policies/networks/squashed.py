"""A Gaussian actor squashed into the action's range and an ensemble of action values, for off-policy algorithms. The
policy "squashed".

Asymmetry: the critics read groups that the robot does not have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus_policies.networks.cnn import CnnConfig
from isthmus_policies.networks.encoder import Encoder
from isthmus_policies.networks.ensemble import Ensemble
from isthmus_policies.networks.mlp import mlp
from isthmus_policies.networks.normalizer import RunningNormalizer
from isthmus_policies.networks.policy import Groups, Policy, PolicyEntry, Tensors

LOG_STD = (-5.0, 1.0)
"""Least and most of the logarithm of the deviation before squashing: at e^1 most actions are at an end."""


@dataclass(frozen=True, kw_only=True)
class SquashedConfig:
    """What is read, sizes of the networks, and how far they explore at first."""

    actor_groups: tuple[str, ...] = ("actor",)
    """Observation groups that the actor reads, images among them. The robot must have them."""
    critic_groups: tuple[str, ...] = ("critic",)
    """Observation groups that the critics read, vectors, in simulation only."""
    actor: tuple[int, ...] = (64, 64)
    """Hidden layers of the actor."""
    critic: tuple[int, ...] = (128, 128)
    """Hidden layers of each critic."""
    critics: int = 2
    """Critics in the ensemble."""
    layer_norm: bool = True
    """Whether the critics' hidden layers are normalised."""
    activation: Literal["tanh", "elu", "relu"] = "elu"
    """Between the actor's layers."""
    hidden_gain: float = math.sqrt(2)
    """Size of the actor's hidden weights at the start."""
    initial_std: float = 1.0
    """The action's standard deviation at the start, before it is squashed."""
    image: CnnConfig = field(default_factory=CnnConfig)
    """How the actor reads images, where there are any among its groups."""

    def __post_init__(self) -> None:
        if self.critics < 1:
            raise ValueError(f"critics must be at least 1, got {self.critics}")
        if not LOG_STD[0] < math.log(self.initial_std) < LOG_STD[1]:
            low, high = (math.exp(bound) for bound in LOG_STD)
            raise ValueError(f"initial_std must lie between {low:.3g} and {high:.3g}, got {self.initial_std}")


class SquashedActorCritic(Policy):
    """Action tanh(u), u Gaussian with a mean and deviation that depend on the observations (Haarnoja et al. 2018, "Soft
    Actor-Critic Algorithms and Applications"). `act` gives the tanh of the mean."""

    def __init__(self, groups: Groups, action_size: int, config: SquashedConfig) -> None:
        """Raises ValueError for groups that are not there or cannot be read."""
        super().__init__()
        self.action_size = action_size
        self.groups, self.critic_groups = config.actor_groups, config.critic_groups
        self.actor_encoder = Encoder(groups, config.actor_groups, config.image)
        self.critic_encoder = Encoder(groups, config.critic_groups)
        self.actor = self.make_actor(self.actor_encoder.size, config)
        self.critics = Ensemble(
            config.critics, self.critic_encoder.size + action_size, config.critic, config.layer_norm
        )

    def make_actor(self, features: int, config: SquashedConfig) -> nn.Module:
        """Make the network from the encoder's features (n, features) to what `squash` makes actions of, (n, 2
        action_size)."""
        return squashed_mlp((features, *config.actor), self.action_size, config)

    def act(self, observations: Tensors, memory: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        return self.output(observations)[:, : self.action_size].tanh(), {}

    def embed(self, observations: Tensors) -> Tensor:
        """(n, features): what the actor's encoder makes of them."""
        return self.actor_encoder(observations)

    def output(self, observations: Tensors) -> Tensor:
        """What the actor's network gives, (n, 2 action_size): what `squash` makes actions of."""
        return self.actor(self.actor_encoder(observations))

    def judged(self, observations: Tensors, action: Tensor) -> Tensor:
        """What the critics' networks read, (n, features + action_size)."""
        return torch.cat((self.critic_encoder(observations), action), dim=-1)

    def learns_from(self) -> tuple[str, ...]:
        """The groups that learning needs: those of actor and critics, each once."""
        return tuple(dict.fromkeys((*self.groups, *self.critic_groups)))

    def normalizers(self) -> list[tuple[str, RunningNormalizer]]:
        """What takes in the observations of which group."""
        return [*self.actor_encoder.normalizers(), *self.critic_encoder.normalizers()]


def squashed_mlp(sizes: tuple[int, ...], action_size: int, config: SquashedConfig) -> nn.Sequential:
    """Layers of these sizes, and a last one that gives what `squash` makes actions of: at the start, means near 0 and
    the deviation that is configured."""
    network = mlp((*sizes, 2 * action_size), 0.01, config.activation, config.hidden_gain)
    low, high = LOG_STD
    place = 2 * (math.log(config.initial_std) - low) / (high - low) - 1
    with torch.no_grad():
        network[-1].bias[action_size:] = math.atanh(place)  # pyright: ignore
    return network


def squash(output: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Actions (n, k) that standard normal `noise` (n, k) draws, and the logarithm of their density (n,).

    output (n, 2k): the mean before squashing, and numbers that say where between its bounds the deviation is.
    """
    mean, place = output.chunk(2, dim=-1)
    low, high = LOG_STD
    log_std = low + 0.5 * (high - low) * (place.tanh() + 1)
    before = torch.addcmul(mean, log_std.exp(), noise)
    # log(1 - tanh²u) = 2 (log 2 - u - softplus(-2u)) stays exact where tanh is 1 in float32.
    narrowed = 2 * (math.log(2) - before - functional.softplus(-2 * before))
    gaussian = -0.5 * (noise.square() + math.log(2 * math.pi)) - log_std
    return before.tanh(), (gaussian - narrowed).sum(-1)


SQUASHED = PolicyEntry(
    config=SquashedConfig(), make=lambda config, groups, size: SquashedActorCritic(groups, size, config)
)
