"""Denoisers for which each action of a chunk is a token: what they have in common."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from isthmus_policies.chunks.denoisers.denoiser import Condition, Denoiser, Modulated


class TokenDenoiser(Denoiser):
    """Tokens (n, horizon, width) go through layers that time and observation modulate.

    Args:
        layers: Each (n, horizon, width) -> (n, horizon, width).
        width: Numbers that stand for an action.
        action_size, horizon: Of a chunk.
        observed: Size of the condition.
    """

    def __init__(
        self, layers: Iterable[nn.Module], width: int, *, action_size: int, horizon: int, observed: int
    ) -> None:
        super().__init__()
        self.condition = Condition(observed, width)
        self.enter = nn.Linear(action_size, width)
        self.place = nn.Parameter(0.02 * torch.randn(horizon, width))
        self.layers = nn.ModuleList(Modulated(layer, width, width) for layer in layers)
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, action_size))

    def forward(self, chunk: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        told = self.condition(time, condition)
        rows = self.enter(chunk) + self.place
        for layer in self.layers:
            rows = layer(rows, told)
        return self.leave(rows)


def perceptron(width: int, inside: int) -> nn.Module:
    """(…, width) -> (…, width)."""
    return nn.Sequential(nn.Linear(width, inside), nn.GELU(approximate="tanh"), nn.Linear(inside, width))
