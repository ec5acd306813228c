"""Behaviour cloning by regression: the mean of what was demonstrated, which lies between two ways round an obstacle."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_policies.chunks.chunk_policy import ChunkPolicyEntry
from isthmus_policies.chunks.methods.denoising import ImitatingPolicy, Network, times


@dataclass(frozen=True, kw_only=True)
class CloningConfig:
    """It has no settings of its own."""


class Cloning(ImitatingPolicy[CloningConfig]):
    """The network reads a chunk of zeros and gives the actions; squared error."""

    draws = 0

    def denoising_loss(self, actions: Tensor, network: Network, generator: torch.Generator) -> Tensor:
        return (network(torch.zeros_like(actions), times(actions, 1.0)) - actions).square().mean()

    def denoised(self, network: Network, noise: Tensor, begin: Tensor | None, steps: int | None) -> Tensor:
        if steps not in (None, 1):
            raise ValueError(f"cloning evaluates its network once, not {steps} times")
        nothing = noise.new_zeros(noise.shape[0], *noise.shape[2:])
        return network(nothing, times(nothing, 1.0))


CLONING = ChunkPolicyEntry(config=CloningConfig(), make=Cloning)
