"""A chunk policy as one that explores: what it makes of its noise, and a normal distribution around that.

The noise from which a chunk is made is part of what the policy sees, so that a policy that does one thing or another
stays one. The distribution is the last step of a denoising chain whose earlier steps draw nothing (Ren et al. 2024,
"Diffusion Policy Policy Optimization", has all of them draw).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from isthmus_policies.chunks.chunk_policy import ChunkPolicy, Tensors
from isthmus_policies.chunks.methods.denoising import DenoisingPolicy


class Explorer(nn.Module):
    """Observations and noise -> a distribution of the actions that are done of a chunk, scaled: each (n, execute,
    action_size).

    Args:
        policy: It; its weights are learned.
        execute: How many actions of each chunk are done.
        deviation: The standard deviation at the start.

    Raises:
        ValueError: the policy draws nothing, sees images, has goals, or its actions have no range.
    """

    def __init__(self, policy: ChunkPolicy, execute: int, deviation: float) -> None:
        super().__init__()
        self.policy, self.execute = _suitable(policy), execute
        if not 1 <= execute <= policy.spec.horizon:
            raise ValueError(f"{execute} of {policy.spec.horizon} actions cannot be done; choose --execute in between")
        self.log_deviation = nn.Parameter(torch.full((execute, policy.spec.action_size), deviation).log())
        self._before = (copy.deepcopy(self.policy).eval().requires_grad_(False),)  # no part of this module

    def mean(self, observations: Tensors, noise: Tensor) -> Tensor:
        """noise: as `ChunkPolicy.noise` gives it."""
        return _made(self.policy, observations, noise)[:, : self.execute]

    def before(self, observations: Tensors, noise: Tensor) -> Tensor:
        """What the mean was when the run began."""
        return _made(self._before[0], observations, noise)[:, : self.execute]

    def log_probability(self, actions: Tensor, mean: Tensor) -> Tensor:
        """(n,) of actions, but for a constant."""
        return (-0.5 * ((actions - mean) / self.log_deviation.exp()).square() - self.log_deviation).sum((1, 2))

    def away(self, mean: Tensor, before: Tensor) -> Tensor:
        """(n,): KL of the distribution around one mean from that around the other."""
        return 0.5 * ((mean - before) / self.log_deviation.detach().exp()).square().sum((1, 2))


def _made(policy: DenoisingPolicy[object], observations: Tensors, noise: Tensor) -> Tensor:
    condition = policy.embed(observations)
    return policy.denoised(lambda chunk, time: policy.denoiser(chunk, time, condition), noise, None, None)


def _suitable(policy: ChunkPolicy) -> DenoisingPolicy[object]:
    if not isinstance(policy, DenoisingPolicy) or policy.draws == 0:
        raise ValueError(
            f"{type(policy).__name__} makes one chunk of an observation, not one of several: fine-tune a policy that "
            "draws, such as a student of isthmus-distill"
        )
    if policy.spec.cameras or policy.spec.goal:
        raise ValueError("policies that see images or are told a goal cannot be fine-tuned yet")
    if not policy.is_bounded:
        raise ValueError(f"actions scaled by {policy.normalizer.modes[policy.spec.action]} have no range to explore")
    return policy
