"""Running normalisation: inputs of networks get mean 0 and variance 1, whatever their units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CACHED_ROWS = 4096
"""Long passes go in parts of so many rows: what they leave between operations stays in a processor's cache."""
MAX_SCALE = 1e4
"""No number is multiplied by more: one that varied little in training must not become huge when it varies on a robot.
Inputs in SI units are legitimately small: torques on a body of 27 g have a deviation of 3e-5 N·m."""
CONSTANT_SHARE, CONSTANT_DEVIATION = 1e-5, 1e-6
"""A number whose deviation is below this share of its mean, or below this in its own unit, was constant but for
float32's rounding."""


MAX_DEVIATIONS = 100.0
"""No number reaches a network larger than this, in deviations: far more than training ever shows."""


class RunningNormalizer(nn.Module):
    """Mean and variance of everything it was shown (Chan et al. 1979, parallel form), in float64; applied in float32.

    A number that was constant is only centred: nothing is known about how far it may move. Only `merge` changes the
    normaliser: within a roll-out it is constant, so stored log-probabilities stay true.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("shift", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    @torch.no_grad()
    def merge(self, mean: Tensor, variance: Tensor, n: int) -> None:
        """Take in n rows that have this mean and variance (size,)."""
        total, delta = self.count + n, mean - self.mean
        spread = self.variance * self.count + variance * n + delta.square() * (self.count * n / total)
        self.mean += delta * (n / total)
        self.variance.copy_(spread / total)
        self.count.copy_(total)
        self.shift.copy_(self.mean)
        self.scale.copy_(_scale(self.mean, self.variance.sqrt()))

    def forward(self, rows: Tensor) -> Tensor:
        """(..., size) -> (..., size)."""
        return (rows - self.shift).mul_(self.scale).clamp_(-MAX_DEVIATIONS, MAX_DEVIATIONS)

    def inverse(self, rows: Tensor) -> Tensor:
        """What `forward` made these rows (..., size) of."""
        return rows / self.scale + self.shift


def _scale(mean: Tensor, deviation: Tensor) -> Tensor:
    """Factor of each number (size,) for its mean and standard deviation."""
    constant = deviation <= (CONSTANT_SHARE * mean.abs()).clamp_min(CONSTANT_DEVIATION)
    return torch.where(constant, 1.0, deviation.reciprocal().clamp_max(MAX_SCALE))


@torch.no_grad()
def moments(rows: Tensor) -> Tensor:
    """Mean and variance (2, size) of rows (n, size), in float64. In two passes: torch.var_mean over the first axis
    takes 15 times as long."""
    mean = rows.mean(0)
    squares = [(part - mean).square_().sum(0) for part in rows.split(CACHED_ROWS)]
    return torch.stack((mean.double(), torch.stack(squares).sum(0).double() / len(rows)))
