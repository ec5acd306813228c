"""Networks that read observation groups. Asymmetry: the critic reads a group that the robot does not have."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from isthmus_policies.training.distributed import gathered
from isthmus_sim.task import Group

MIN_STD, MAX_STD = 0.02, 2.0
CACHED_ROWS = 4096
"""Long passes go in parts of so many rows: what they leave between operations stays in a processor's cache."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Sizes of the networks and how far they explore at first."""

    actor: tuple[int, ...] = (64, 64)
    """Hidden layers of the actor."""
    critic: tuple[int, ...] = (64, 64)
    """Hidden layers of the critic."""
    activation: Literal["tanh", "elu"] = "tanh"
    """Between the layers of both."""
    hidden_gain: float = math.sqrt(2)
    """Size of the hidden layers' weights at the start. Where inputs are many and correlated, as a history is, less:
    else tanh is at its ends from the start and tells few states apart."""
    initial_std: float = 1.0
    """The action's standard deviation at the start; actions are in [-1, 1]. It is large because a rotor follows
    slowly: of white noise at 100 Hz, a lag of 0.15 s leaves a fifth."""


class RunningNormalizer(nn.Module):
    """Mean and variance of everything it was shown (Chan et al. 1979, parallel form), in float64; applied in float32.

    Only `update` and `merge` change it: within a roll-out it is constant, so stored log-probabilities stay true.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("shift", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        """Take in rows (n, size), and those of all other processes."""
        for mean, variance in gathered(moments(rows)):
            self.merge(mean, variance, len(rows))

    @torch.no_grad()
    def merge(self, mean: Tensor, variance: Tensor, n: int) -> None:
        """Take in n rows that have this mean and variance (size,)."""
        total, delta = self.count + n, mean - self.mean
        spread = self.variance * self.count + variance * n + delta.square() * (self.count * n / total)
        self.mean += delta * (n / total)
        self.variance.copy_(spread / total)
        self.count.copy_(total)
        self.shift.copy_(self.mean)
        self.scale.copy_(1 / (self.variance + 1e-8).sqrt())

    def forward(self, rows: Tensor) -> Tensor:
        return (rows - self.shift).mul_(self.scale)

    def inverse(self, rows: Tensor) -> Tensor:
        return rows / self.scale + self.shift


@torch.no_grad()
def moments(rows: Tensor) -> Tensor:
    """Mean and variance (2, size) of rows (n, size), in float64. In two passes: torch.var_mean over the first axis
    takes 15 times as long."""
    mean = rows.mean(0)
    squares = [(part - mean).square_().sum(0) for part in rows.split(CACHED_ROWS)]
    return torch.stack((mean.double(), torch.stack(squares).sum(0).double() / len(rows)))


class Activation(nn.Module, ABC):
    """Applied to every number. `forward` is what autograd and the export see; the other two, in place, are for
    `gradients`."""

    @abstractmethod
    def forward(self, rows: Tensor) -> Tensor: ...

    @abstractmethod
    def apply_(self, rows: Tensor) -> None:
        """`forward`, in place."""

    @abstractmethod
    def backward_(self, gradient: Tensor, output: Tensor) -> None:
        """The gradient by `output` becomes that by the input, in place."""


class Tanh(Activation):
    """tanh through the logistic function, which torch computes 4 times as fast on a CPU (measured: 80 against 340 µs
    a layer of a minibatch, as long as the layer's matrix product)."""

    def forward(self, rows: Tensor) -> Tensor:
        return 2.0 * torch.sigmoid(2.0 * rows) - 1.0

    def apply_(self, rows: Tensor) -> None:
        rows.mul_(2.0).sigmoid_().mul_(2.0).sub_(1.0)

    def backward_(self, gradient: Tensor, output: Tensor) -> None:
        torch.ops.aten.tanh_backward(gradient, output, grad_input=gradient)


class Elu(Activation):
    """x above 0, exp(x) - 1 below (Clevert et al. 2016)."""

    def forward(self, rows: Tensor) -> Tensor:
        return nn.functional.elu(rows)

    def apply_(self, rows: Tensor) -> None:
        # exp2: torch computes it 3 times as fast on a CPU as exp.
        below = rows.clamp(max=0.0).mul_(math.log2(math.e)).exp2_().sub_(1.0)
        torch.maximum(rows, below, out=rows)

    def backward_(self, gradient: Tensor, output: Tensor) -> None:
        torch.ops.aten.elu_backward(gradient, 1.0, 1.0, 1.0, True, output, grad_input=gradient)


ACTIVATIONS: dict[str, type[Activation]] = {"tanh": Tanh, "elu": Elu}


def mlp(
    sizes: tuple[int, ...], last_gain: float, activation: str = "tanh", hidden_gain: float = math.sqrt(2)
) -> nn.Sequential:
    """Linear layers with activations between, orthogonal initialisation (Saxe et al. 2014), zero biases."""
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        last = i == len(sizes) - 2
        linear = nn.Linear(inputs, outputs)
        nn.init.orthogonal_(linear.weight, last_gain if last else hidden_gain)
        nn.init.zeros_(linear.bias)
        layers += [linear] if last else [linear, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


class ActorCritic(nn.Module):
    """A Gaussian actor over the group "actor" and a value over the group "critic"."""

    def __init__(self, groups: dict[str, Group], action_size: int, config: NetworkConfig) -> None:
        super().__init__()
        actor, critic = groups["actor"].size, groups["critic"].size
        self.sizes = {"actor": actor, "critic": critic, "action": action_size}
        self.actor_normalizer = RunningNormalizer(actor)
        self.critic_normalizer = RunningNormalizer(critic)
        self.value_normalizer = RunningNormalizer(1)
        alike = (config.activation, config.hidden_gain)
        self.actor = mlp((actor, *config.actor, action_size), 0.01, *alike)
        self.critic = mlp((critic, *config.critic, 1), 1.0, *alike)
        self.log_std = nn.Parameter(torch.full((action_size,), math.log(config.initial_std)))

    def act(self, observation: Tensor) -> Tensor:
        """The mean action (n, action_size) for raw observations of the group "actor"."""
        return self.actor(self.actor_normalizer(observation))

    def value(self, observation: Tensor) -> Tensor:
        """The value (n,) in units of reward, for raw observations of the group "critic"."""
        normalized = self.critic(self.critic_normalizer(observation))
        return self.value_normalizer.inverse(normalized).squeeze(-1)

    @torch.no_grad()
    def rescale_value(self, returns: Tensor) -> None:
        """Take returns (n, 1) into the value's normaliser and keep `value` the same (PopArt, van Hasselt et al.
        2016)."""
        normalizer, last = self.value_normalizer, self.critic[-1]
        assert isinstance(last, nn.Linear)
        scale, shift = normalizer.scale.clone(), normalizer.shift.clone()
        normalizer.update(returns)
        ratio = normalizer.scale / scale
        last.weight *= ratio
        last.bias.copy_(last.bias * ratio + (shift - normalizer.shift) * normalizer.scale)

    def std(self) -> Tensor:
        """Standard deviation (action_size,). Positive and bounded whatever the optimiser does to its logarithm."""
        return self.log_std.clamp(math.log(MIN_STD), math.log(MAX_STD)).exp()

    def std_moves(self) -> Tensor:
        """(action_size,) bool: where `std` follows the parameter, not held by a bound."""
        return (self.log_std >= math.log(MIN_STD)) & (self.log_std <= math.log(MAX_STD))
