"""Diffusion policy (Chi et al. 2023): noise is taken away in steps, by the schedulers of diffusers.

DDPM is DDIM with the noise put back that each step of DDPM has (Song et al. 2021, eta = 1), so that all noise is an
input and nothing is drawn inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch import Tensor

from isthmus_datasets.training.normalizer import Normalizer
from isthmus_policies.chunks.chunk_policy import ChunkPolicyEntry, ChunkSpec
from isthmus_policies.chunks.denoisers.denoiser import Denoiser
from isthmus_policies.chunks.encoder import ObservationEncoder
from isthmus_policies.chunks.methods.denoising import Network, Schedule, ScheduledPolicy, gaussian, positive, times

SamplerName = Literal["ddim", "ddpm", "dpm_solver"]
Prediction = Literal["epsilon", "v_prediction", "sample"]


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig:
    """Settings; the defaults are the paper's but for what the network gives."""

    prediction: Prediction = "sample"
    """What the network gives: the noise (epsilon, as in the paper), the velocity (Salimans & Ho 2022), or the actions,
    which few evaluations do best with (`make bench-bimodal`)."""
    levels: int = 100
    """Noise levels in training."""
    sampler: SamplerName = "ddim"
    """ddim (Song et al. 2021), ddpm (Ho et al. 2020) or dpm_solver (DPM-Solver++, Lu et al. 2022)."""
    steps: int = 10
    """Evaluations of the network for a chunk."""

    def __post_init__(self) -> None:
        positive(self.steps, 1, self.levels)


class Diffusion(ScheduledPolicy[DiffusionConfig]):
    """The network reads one of `levels` noise levels.

    Args:
        config: Settings.
        spec, normalizer, encoder, denoiser: As `DenoisingPolicy` has them.
    """

    def __init__(
        self,
        config: DiffusionConfig,
        spec: ChunkSpec,
        normalizer: Normalizer,
        encoder: ObservationEncoder,
        denoiser: Denoiser,
    ) -> None:
        self._levels = {
            "num_train_timesteps": config.levels,
            "beta_schedule": "squaredcos_cap_v2",
            "prediction_type": config.prediction,
        }
        super().__init__(config, spec, normalizer, encoder, denoiser)
        self._training: Any = DDIMScheduler(**self._levels)
        self.draws = config.steps if config.sampler == "ddpm" else 1

    def denoising_loss(self, actions: Tensor, network: Network, generator: torch.Generator) -> Tensor:
        noise = gaussian(actions, generator)
        levels = torch.randint(self.config.levels, (len(actions),), generator=generator, device=actions.device)
        noisy = self._training.add_noise(actions, noise, levels)
        target = {"epsilon": noise, "sample": actions}.get(self.config.prediction)
        if target is None:
            target = self._training.get_velocity(actions, noise, levels)
        return (network(noisy, levels / self.config.levels) - target).square().mean()

    def denoised(self, network: Network, noise: Tensor, begin: Tensor | None, steps: int | None) -> Tensor:
        schedule = self.schedule(steps, begin is not None)
        scheduler, levels = schedule.fresh(), [int(level) for level in schedule.times]
        chunk = noise[:, 0]
        if begin is not None:
            kept = scheduler.alphas_cumprod[levels[0]]
            chunk = kept.sqrt() * begin + (1 - kept).sqrt() * chunk
        for number, level in enumerate(levels):
            answer = network(chunk, times(chunk, level / self.config.levels))
            # Only DDPM puts noise back, and DPM-Solver++ has no such option.
            drawn = {"eta": 1.0, "variance_noise": noise[:, (number + 1) % self.draws]}
            options = drawn if self.config.sampler == "ddpm" else {}
            chunk = scheduler.step(answer, level, chunk, **options, return_dict=False)[0]
        return chunk

    def make_schedule(self, steps: int | None, near: bool) -> Schedule:
        config = self.config
        scheduler: Any
        if config.sampler == "dpm_solver":
            # At the noisiest levels of this schedule hardly anything of the actions is left, and a solver that
            # extrapolates from there goes astray: diffusers' documentation has this bound for it.
            scheduler = DPMSolverMultistepScheduler(
                **self._levels, algorithm_type="dpmsolver++", lambda_min_clipped=-5.1
            )
        else:
            scheduler = DDIMScheduler(**self._levels, clip_sample=self.is_bounded, timestep_spacing="trailing")
        count = positive(
            steps, max(1, config.steps // 4) if near else config.steps, config.steps if near else config.levels
        )
        scheduler.set_timesteps(config.steps if near else count)
        levels = scheduler.timesteps.tolist()
        if config.sampler == "dpm_solver":
            scheduler.set_begin_index(len(levels) - count)
        return Schedule(scheduler, levels[-count:])


DIFFUSION = ChunkPolicyEntry(config=DiffusionConfig(), make=Diffusion)
