"""Flow matching (Lipman et al. 2023; Liu et al. 2023): a straight way from noise to the actions, along a velocity.

Noise and actions are mixed as `FlowMatchEulerDiscreteScheduler` of diffusers has it: (1 - s) actions + s noise, and the
velocity is noise - actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from isthmus_policies.chunks.chunk_policy import ChunkPolicyEntry
from isthmus_policies.chunks.methods.denoising import (
    Network,
    Schedule,
    ScheduledPolicy,
    gaussian,
    positive,
    times,
    uniform,
)

NEAR = 0.12
"""Noise level of a chunk to which the next one shall be near. Measured on Push-T, a new plan at every tick: with 0.25
plans wander, with 0.05 they cannot turn (docs/results/diffusion.md)."""
SECOND = 0.2
"""Noise level of the second of two evaluations. Measured on Push-T: from there a flow comes to nearly as good a chunk
as in eight, from 0.5 it does not (docs/results/diffusion.md)."""


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Settings."""

    steps: int = 8
    """Evaluations of the network for a chunk."""

    def __post_init__(self) -> None:
        positive(self.steps, 1)


class Flow(ScheduledPolicy[FlowConfig]):
    """The network is the velocity at a noise level."""

    def denoising_loss(self, actions: Tensor, network: Network, generator: torch.Generator) -> Tensor:
        noise, level = gaussian(actions, generator), uniform(actions, generator)
        mixed = torch.lerp(actions, noise, level[:, None, None])
        return (network(mixed, level) - (noise - actions)).square().mean()

    def denoised(self, network: Network, noise: Tensor, begin: Tensor | None, steps: int | None) -> Tensor:
        schedule = self.schedule(steps, begin is not None)
        scheduler, levels = schedule.fresh(), schedule.times
        chunk = noise[:, 0] if begin is None else torch.lerp(begin, noise[:, 0], levels[0])
        for level, time in zip(levels, scheduler.timesteps, strict=True):
            chunk = scheduler.step(network(chunk, times(chunk, level)), time, chunk, return_dict=False)[0]
        return chunk

    def make_schedule(self, steps: int | None, near: bool) -> Schedule:
        usual = self.config.steps
        count = positive(steps, max(1, usual // 4), usual) if near else positive(steps, usual)
        most = NEAR if near else 1.0
        even = [most * (count - i) / count for i in range(count)]
        levels = [1.0, SECOND] if count == 2 and not near else even
        scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000)
        scheduler.set_timesteps(sigmas=levels)
        scheduler.set_begin_index(0)
        return Schedule(scheduler, levels)


FLOW = ChunkPolicyEntry(config=FlowConfig(), make=Flow)
