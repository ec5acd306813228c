"""The minimal iterative policy (arXiv 2512.01809): two regressions, the second of which mends the first one's answer.

As good as flow matching in that paper's trials, with two evaluations and nothing drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_policies.chunks.chunk_policy import ChunkPolicyEntry
from isthmus_policies.chunks.methods.denoising import ImitatingPolicy, Network, gaussian, times


@dataclass(frozen=True, kw_only=True)
class MipConfig:
    """Settings."""

    share: float = 0.9
    """Share of the actions in what the second regression reads; the rest is noise in training, nothing later."""

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise ValueError(f"the second step reads a share of the actions between 0 and 1, not {self.share}")


class Mip(ImitatingPolicy[MipConfig]):
    """The first regression reads zeros, the second a share of the first one's answer."""

    draws = 0

    def denoising_loss(self, actions: Tensor, network: Network, generator: torch.Generator) -> Tensor:
        share = self.config.share
        first = network(torch.zeros_like(actions), times(actions, 1.0))
        noisy = share * actions + (1 - share) * gaussian(actions, generator)
        second = network(noisy, times(actions, 1 - share))
        return (first - actions).square().mean() + (second - actions).square().mean()

    def denoised(self, network: Network, noise: Tensor, begin: Tensor | None, steps: int | None) -> Tensor:
        evaluations = (1,) if begin is not None else (1, 2)
        if steps is not None and steps not in evaluations:
            raise ValueError(
                f"the minimal iterative policy evaluates its network {evaluations} times here, not {steps}"
            )
        share = self.config.share
        nothing = noise.new_zeros(noise.shape[0], *noise.shape[2:])
        first = network(nothing, times(nothing, 1.0)) if begin is None else begin
        if begin is None and steps == 1:
            return first
        return network(share * first, times(first, 1 - share))


MIP = ChunkPolicyEntry(config=MipConfig(), make=Mip)
