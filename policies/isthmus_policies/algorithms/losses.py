"""PPO's losses on a minibatch, and their gradient by autograd."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from isthmus_policies.algorithms.batch import Batch
from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.networks.actor_critic import ActorCritic


class Backward(Protocol):
    """Writes the gradient of the whole loss into every parameter's `grad`, which must be there."""

    def __call__(self, batch: Batch) -> Tensor:
        """KL from the policy that acted, surrogate, value loss, share of clipped ratios, then the auxiliary losses,
        unless they are learned from apart."""
        ...


class Autograd:
    """`Backward` for any `ActorCritic`."""

    def __init__(self, policy: ActorCritic, config: PPOConfig) -> None:
        self._policy = policy
        self._config = config
        self._parameters = list(policy.parameters())

    def __call__(self, batch: Batch) -> Tensor:
        policy, c = self._policy, self._config
        for parameter in self._parameters:
            assert parameter.grad is not None
            parameter.grad.zero_()
        features = policy.actor_encoder(batch.observations) if batch.features is None else batch.features
        mean, std = policy.mean(features, batch.memory, batch.done), policy.std()
        ratio = (gaussian_log_prob(batch.action, mean, std) - batch.log_prob).exp()
        held = ratio.clamp(1 - c.clip, 1 + c.clip)
        surrogate = -torch.minimum(ratio * batch.advantage, held * batch.advantage).mean()
        value_loss = _value_loss(policy.normalized_value(batch.observations), batch, c.clip)
        together = policy.auxiliary.values() if policy.apart is None else ()
        auxiliary = [loss(batch.observations, features) for loss in together]
        loss = surrogate + c.value_weight * value_loss - c.entropy_weight * std.log().sum()
        torch.stack((loss, *auxiliary)).sum().backward()
        kl, clipped = gaussian_kl(batch.mean, batch.old_std, mean, std).mean(), (held != ratio).float().mean()
        return torch.stack((kl, surrogate, value_loss, clipped, *auxiliary)).detach()


def _value_loss(value: Tensor, batch: Batch, clip: float) -> Tensor:
    """The mean of the larger squared error of the value and of the value held within `clip` of the one before."""
    near = batch.value + (value - batch.value).clamp(-clip, clip)
    return torch.maximum((value - batch.returns).square(), (near - batch.returns).square()).mean()


def gaussian_log_prob(action: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Log-density (…) of actions (…, k) under a diagonal Gaussian with std (k,)."""
    return -0.5 * ((action - mean) / std).square().sum(-1) - log_normalizer(std)


def gaussian_kl(old_mean: Tensor, old_std: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """KL(old ‖ new) (…) of diagonal Gaussians with means (…, k) and std (k,)."""
    constant = ((std / old_std).log() + 0.5 * (old_std / std).square() - 0.5).sum()
    return 0.5 * ((old_mean - mean) / std).square().sum(-1) + constant


def log_normalizer(std: Tensor) -> Tensor:
    """-log of a diagonal Gaussian's density at its mean; std (k,)."""
    return std.log().sum() + 0.5 * math.log(2 * math.pi) * len(std)
