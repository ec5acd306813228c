"""What a denoiser is, and those there are, by name.

A denoiser reads a noisy chunk, how noisy it is, and what the policy makes of its observations, and gives an array of
the chunk's shape: noise, velocity or actions, as the method trains it. Anyone registers one under the entry point
`isthmus.denoisers`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from isthmus_sim.registry import Registry


class Denoiser(nn.Module, ABC):
    """A network on chunks."""

    @abstractmethod
    def forward(self, chunk: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """(n, horizon, action_size).

        Args:
            chunk: (n, horizon, action_size), scaled.
            time: (n,) from 0 to 1, from no noise to nothing but noise.
            condition: (n, features).
        """


@dataclass(frozen=True, kw_only=True)
class DenoiserEntry:
    """A registered denoiser.

    config: The default configuration, a frozen dataclass.
    make: Configuration, action size, horizon, and size of the condition -> denoiser. Raises ValueError where they do
        not fit.
    """

    config: Any
    make: Callable[[Any, int, int, int], Denoiser]


DENOISERS = Registry("isthmus.denoisers", "denoiser", DenoiserEntry)
"""The denoisers by name."""


class Condition(nn.Module):
    """Time and what is observed as one vector (n, size).

    Time becomes sines and cosines of it at frequencies from 1 to 10,000 (Vaswani et al. 2017), as if it were counted in
    thousandths.
    """

    frequencies: Tensor

    def __init__(self, observed: int, size: int) -> None:
        super().__init__()
        half = size // 2
        frequencies = torch.exp(torch.arange(half) * (-math.log(10_000.0) / max(half - 1, 1)))
        self.register_buffer("frequencies", 1000.0 * frequencies, persistent=False)
        self.time = nn.Sequential(nn.Linear(2 * half, size), nn.SiLU(), nn.Linear(size, size))
        self.observed = nn.Linear(observed, size)

    def forward(self, time: Tensor, observed: Tensor) -> Tensor:
        angles = time.unsqueeze(-1) * self.frequencies
        return nn.functional.silu(self.time(torch.cat((angles.sin(), angles.cos()), dim=-1)) + self.observed(observed))


class Modulated(nn.Module):
    """A residual layer whose norm, input and output the condition scales, and which is nothing at the start (Peebles &
    Xie 2023, "Scalable Diffusion Models with Transformers": adaLN-Zero).

    Args:
        layer: (n, …, width) -> (n, …, width).
        width: Of the last axis.
        condition: Size of the condition.
    """

    def __init__(self, layer: nn.Module, width: int, condition: int) -> None:
        super().__init__()
        self.layer, self.norm = layer, nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(condition, 3 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, rows: Tensor, condition: Tensor) -> Tensor:
        """rows (n, …, width), condition (n, size)."""
        numbers = self.modulation(condition)
        for _ in range(rows.dim() - 2):
            numbers = numbers.unsqueeze(1)
        shift, scale, gate = numbers.chunk(3, dim=-1)
        return rows + gate * self.layer(self.norm(rows) * (1 + scale) + shift)
