"""The gradients of PPO's losses, written out. Autograd finds the same ones, but its bookkeeping, its fresh memory and
its passes over it cost as much again as the matrix products of networks this small."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from isthmus_policies.networks.actor_critic import Activation


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
    action: Tensor, mean: Tensor, std: Tensor, log_prob: Tensor, gain: Tensor, clip: float
) -> Surrogate:
    """The clipped surrogate: -mean of min(ratio·gain, clipped ratio·gain).

    action and mean (n, k), std (k,); log_prob (n,) under the policy that acted; gain (n,), the advantage.
    """
    z = (action - mean) / std
    square = z.square()
    ratio = (-0.5 * square.sum(-1) - log_normalizer(std) - log_prob).exp_()
    held = ratio.clamp(1 - clip, 1 + clip)
    plain, clipped = ratio * gain, held * gain
    # By the log-probability: the ratio's derivative is itself, and where the clipped one is the smaller there is none.
    weight = plain * (plain <= clipped) / -len(gain)
    return Surrogate(
        loss=-torch.minimum(plain, clipped).mean(),
        by_mean=z.mul_(weight.unsqueeze(-1)).div_(std),
        by_log_std=weight @ square - weight.sum(),
        clipped=(held != ratio).sum() / len(gain),
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


def log_normalizer(std: Tensor) -> Tensor:
    """-log of a diagonal Gaussian's density at its mean; std (k,)."""
    return std.log().sum() + 0.5 * math.log(2 * math.pi) * len(std)
