"""Flow matching (Lipman et al. 2023; Liu et al. 2023): a straight way from noise to the actions, along a velocity.

Noise and actions are mixed as `FlowMatchEulerDiscreteScheduler` of diffusers has it: (1 - s) actions + s noise, and the
velocity is noise - actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from isthmus_policies.chunks.chunk_policy import ChunkPolicyEntry
from isthmus_policies.chunks.methods.denoising import DenoisingPolicy, Network, gaussian, positive, times, uniform


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Settings."""

    steps: int = 8
    """Evaluations of the network for a chunk."""

    def __post_init__(self) -> None:
        positive(self.steps, 1)


class Flow(DenoisingPolicy[FlowConfig]):
    """The network is the velocity at a noise level."""

    def denoising_loss(self, actions: Tensor, network: Network, generator: torch.Generator) -> Tensor:
        noise, level = gaussian(actions, generator), uniform(actions, generator)
        mixed = torch.lerp(actions, noise, level[:, None, None])
        return (network(mixed, level) - (noise - actions)).square().mean()

    def denoised(self, network: Network, noise: Tensor, begin: Tensor | None, steps: int | None) -> Tensor:
        levels = self.levels(begin, steps)
        scheduler: Any = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000)
        scheduler.set_timesteps(sigmas=levels)
        chunk = noise[:, 0] if begin is None else torch.lerp(begin, noise[:, 0], levels[0])
        for level, time in zip(levels, scheduler.timesteps, strict=True):
            chunk = scheduler.step(network(chunk, times(chunk, level)), time, chunk, return_dict=False)[0]
        return chunk

    def levels(self, begin: Tensor | None, steps: int | None) -> list[float]:
        """Noise levels at which the network is asked: from 1 down, or the last ones of as many as are usual where there
        is a chunk to begin near to (RTI-DP: the last chunk, shifted, with a little noise)."""
        if begin is None:
            count = total = positive(steps, self.config.steps)
        else:
            count, total = positive(steps, max(1, self.config.steps // 4), self.config.steps), self.config.steps
        return [(count - i) / total for i in range(count)]


FLOW = ChunkPolicyEntry(config=FlowConfig(), make=Flow)
