"""Diffusion with the preconditioning of Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative
Models": few evaluations suffice, as its noise levels are chosen for that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.schedulers.scheduling_edm_dpmsolver_multistep import EDMDPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_edm_euler import EDMEulerScheduler
from torch import Tensor

from isthmus_policies.chunks.chunk_policy import ChunkPolicyEntry
from isthmus_policies.chunks.methods.denoising import Network, Schedule, ScheduledPolicy, gaussian, positive, times


@dataclass(frozen=True, kw_only=True)
class EdmConfig:
    """Settings. Actions are scaled to [-1, 1], so that their spread is about a half."""

    spread: float = 0.5
    """Standard deviation of the scaled actions."""
    least: float = 0.05
    """The smallest noise, in units of the scaled actions."""
    most: float = 4.0
    """The largest, beside which the actions are nothing."""
    near: float = 0.2
    """The noise that a chunk is given to which the next one shall be near."""
    mean: float = -1.2
    """The mean of the logarithm of the noise in training, which is normally distributed."""
    deviation: float = 1.2
    """Its standard deviation."""
    second_order: bool = True
    """DPM-Solver++ of second order instead of Euler's method."""
    steps: int = 5
    """Evaluations of the network for a chunk."""

    def __post_init__(self) -> None:
        positive(self.steps, 1)
        if not 0.0 < self.least < min(self.near, self.most) or self.spread <= 0.0 or self.deviation <= 0.0:
            raise ValueError(f"noise goes from a least to a most above it, and spreads are positive: {self}")


class Edm(ScheduledPolicy[EdmConfig]):
    """The network gives what has to be added to the chunk that it reads, scaled so that all noise levels are alike."""

    def denoising_loss(self, actions: Tensor, network: Network, generator: torch.Generator) -> Tensor:
        spread = self.config.spread
        drawn = torch.randn(len(actions), generator=generator, device=actions.device)
        noise = (self.config.mean + self.config.deviation * drawn).exp()
        noisy = actions + noise[:, None, None] * gaussian(actions, generator)
        weight = (noise.square() + spread**2) / (noise * spread).square()
        return (weight[:, None, None] * (self._clean(network, noisy, noise) - actions).square()).mean()

    def _clean(self, network: Network, noisy: Tensor, noise: Tensor) -> Tensor:
        """The actions that a noisy chunk was made of, noise (n,): equation 7 of the paper."""
        spread, level = self.config.spread, noise[:, None, None]
        whole = (level.square() + spread**2).sqrt()
        answer = network(noisy / whole, self._time(noise))
        return (spread / whole).square() * noisy + (level * spread / whole) * answer

    def _time(self, noise: Tensor) -> Tensor:
        """The logarithm of the noise, brought to 0 … 1."""
        low, high = math.log(self.config.least), math.log(self.config.most)
        return (noise.log() - low) / (high - low)

    def denoised(self, network: Network, noise: Tensor, begin: Tensor | None, steps: int | None) -> Tensor:
        schedule = self.schedule(steps, begin is not None)
        scheduler, levels = schedule.fresh(), schedule.times
        chunk = levels[0] * noise[:, 0] if begin is None else begin + levels[0] * noise[:, 0]
        for level, time in zip(levels, scheduler.timesteps, strict=True):
            # The scheduler wants the network's bare answer; it scales it as `_clean` does.
            scaled = scheduler.precondition_inputs(chunk, level)
            answer = network(scaled, self._time(times(chunk, level)))
            chunk = scheduler.step(answer, time, chunk, return_dict=False)[0]
        return chunk

    def make_schedule(self, steps: int | None, near: bool) -> Schedule:
        config, usual = self.config, self.config.steps
        count = positive(steps, max(1, usual // 4), usual) if near else positive(steps, usual)
        kind: Any = EDMDPMSolverMultistepScheduler if config.second_order else EDMEulerScheduler
        most = config.near if near else config.most
        scheduler = kind(sigma_min=config.least, sigma_max=most, sigma_data=config.spread)
        scheduler.set_timesteps(count)
        scheduler.set_begin_index(0)
        scheduler.is_scale_input_called = True  # it is, under another name
        return Schedule(scheduler, scheduler.sigmas[:-1].tolist())


EDM = ChunkPolicyEntry(config=EdmConfig(), make=Edm)
