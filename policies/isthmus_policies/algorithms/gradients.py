"""The gradients of PPO's losses for plain multi-layer perceptrons, written out: a fast path.

Autograd finds the same ones (a test holds the two equal), but its bookkeeping, its fresh memory and its passes over it
cost as much again as the matrix products of networks this small.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from isthmus_policies.algorithms.batch import Batch
from isthmus_policies.algorithms.losses import gaussian_kl, log_normalizer
from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.networks.actor_critic import ActorCritic
from isthmus_policies.networks.cnn import Cnn
from isthmus_policies.networks.mlp import Activation


class WrittenOut:
    """`losses.Backward` for policies that `suit` it."""

    def __init__(self, policy: ActorCritic, config: PPOConfig) -> None:
        self._policy = policy
        self._config = config
        self._actor, self._critic = NetworkGradient(policy.actor), NetworkGradient(policy.critic)

    @staticmethod
    def suits(policy: ActorCritic) -> bool:
        """Whether the policy is nothing but two perceptrons that read vectors. A subclass may be anything."""
        images = any(isinstance(module, Cnn) for module in policy.modules())
        return type(policy) is ActorCritic and not images and not policy.auxiliary

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        policy, c = self._policy, self._config
        mean, std = self._actor.forward(policy.actor_encoder(batch.observations)), policy.std()
        policy_loss = clipped_surrogate(batch.action, mean, std, batch.log_prob, batch.advantage, c.clip)
        self._actor.backward(policy_loss.by_mean)
        torch.mul(policy_loss.by_log_std - c.entropy_weight, policy.std_moves(), out=policy.log_std.grad)
        value = self._critic.forward(policy.critic_encoder(batch.observations)).squeeze(-1)
        value_loss, by_value = clipped_value_loss(value, batch.value, batch.returns, c.clip)
        self._critic.backward((c.value_weight * by_value).unsqueeze(-1))
        kl = gaussian_kl(batch.mean, batch.old_std, mean, std).mean()
        return torch.stack((kl, policy_loss.loss, value_loss, policy_loss.clipped))


class NetworkGradient:
    """Forward and backward pass of an `mlp`."""

    def __init__(self, network: nn.Sequential) -> None:
        self._layers = [layer for layer in network if isinstance(layer, nn.Linear)]
        self._activations = [layer for layer in network if isinstance(layer, Activation)]
        self._read: list[Tensor] = []  # by each layer

    @torch.no_grad()
    def forward(self, rows: Tensor) -> Tensor:
        """(n, inputs) -> (n, outputs)."""
        self._read = [rows]
        for layer, activation in zip(self._layers, self._activations, strict=False):
            output = torch.addmm(layer.bias, self._read[-1], layer.weight.t())
            activation.apply_(output)
            self._read.append(output)
        return torch.addmm(self._layers[-1].bias, self._read[-1], self._layers[-1].weight.t())

    @torch.no_grad()
    def backward(self, gradient: Tensor) -> None:
        """Write every parameter's gradient into its `grad`, which must be there; gradient (n, outputs): the loss's by
        what `forward` last returned."""
        for i in reversed(range(len(self._layers))):
            layer = self._layers[i]
            torch.mm(gradient.t(), self._read[i], out=layer.weight.grad)
            torch.sum(gradient, 0, out=layer.bias.grad)
            if i > 0:
                gradient = gradient @ layer.weight
                self._activations[i - 1].backward_(gradient, self._read[i])


@dataclass(frozen=True, kw_only=True)
class Surrogate:
    """A policy's loss on n actions, its gradient by the means (n, k) and by the logarithm of the deviation (k,), and
    the share of ratios that are clipped."""

    loss: Tensor
    by_mean: Tensor
    by_log_std: Tensor
    clipped: Tensor


@torch.no_grad()
def clipped_surrogate(
    action: Tensor, mean: Tensor, std: Tensor, log_prob: Tensor, advantage: Tensor, clip: float
) -> Surrogate:
    """The clipped surrogate: -mean of min(ratio·advantage, clipped ratio·advantage).

    action and mean (n, k), std (k,); log_prob (n,) under the policy that acted; advantage (n,).
    """
    z = (action - mean) / std
    square = z.square()
    ratio = (-0.5 * square.sum(-1) - log_normalizer(std) - log_prob).exp_()
    held = ratio.clamp(1 - clip, 1 + clip)
    plain, clipped = ratio * advantage, held * advantage
    # By the log-probability: the ratio's derivative is itself, and where the clipped one is the smaller there is none.
    weight = plain * (plain <= clipped) / -len(advantage)
    return Surrogate(
        loss=-torch.minimum(plain, clipped).mean(),
        by_mean=z.mul_(weight.unsqueeze(-1)).div_(std),
        by_log_std=weight @ square - weight.sum(),
        clipped=(held != ratio).sum() / len(advantage),
    )


@torch.no_grad()
def clipped_value_loss(value: Tensor, before: Tensor, target: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """The mean of the larger squared error of `value` and of `value` held within `clip` of `before`; and its gradient
    by value. All (n,)."""
    error = value - target
    plain = error.square()
    near = before + (value - before).clamp_(-clip, clip)
    clipped = (near - target).square_()
    # Where the clipped error is the larger, value is out of reach: no derivative.
    return torch.maximum(plain, clipped).mean(), error * (plain >= clipped) * (2 / len(value))
