"""Mixtures of normal distributions, fitted by expectation and maximisation, with as many parts as Akaike's criterion
asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_LEAST_VARIANCE = 1e-6
_ITERATIONS, _TOLERANCE = 100, 1e-3


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """k normal distributions in d dimensions, float64. weight (k,), mean (k, d), covariance (k, d, d)."""

    weight: Tensor
    mean: Tensor
    covariance: Tensor

    def log_density(self, points: Tensor) -> Tensor:
        """(n, k): of points (n, d), by each part, its weight included."""
        factor = torch.linalg.cholesky(self.covariance)
        off = (points.unsqueeze(0) - self.mean.unsqueeze(1)).mT  # (k, d, n)
        square = torch.linalg.solve_triangular(factor, off, upper=False).square().sum(1)
        volume = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1, keepdim=True)
        d = points.shape[1]
        return (self.weight.log().unsqueeze(1) - 0.5 * (square + d * math.log(2 * math.pi)) - volume).mT

    def log_likelihood(self, points: Tensor) -> float:
        """The logarithm of the density of all points (n, d) together."""
        return float(self.log_density(points).logsumexp(-1).sum())

    def aic(self, points: Tensor) -> float:
        """Akaike's information criterion on points (n, d): the lower, the better."""
        k, d = self.mean.shape
        return 2 * (k * (1 + d + d * (d + 1) / 2) - 1) - 2 * self.log_likelihood(points)

    def sample(self, parts: Tensor, generator: torch.Generator) -> Tensor:
        """(n, d): a point of each of the parts (n,)."""
        factor = torch.linalg.cholesky(self.covariance)[parts]
        drawn = torch.randn(*self.mean[parts].shape, generator=generator, dtype=torch.float64)
        return self.mean[parts] + (factor @ drawn.unsqueeze(-1)).squeeze(-1)


def fit(points: Tensor, parts: int, generator: torch.Generator) -> Mixture:
    """A mixture of so many parts for points (n, d) float64, from parts around points that are drawn; n > parts."""
    centres = points[torch.randperm(len(points), generator=generator)[:parts]]
    nearest = torch.cdist(points, centres).argmin(1)
    mixture = _maximised(points, torch.nn.functional.one_hot(nearest, parts).double())
    before = -math.inf
    for _ in range(_ITERATIONS):
        density = mixture.log_density(points)
        likelihood = float(density.logsumexp(-1).mean())
        if likelihood - before < _TOLERANCE:
            break
        before = likelihood
        mixture = _maximised(points, density.softmax(-1))
    return mixture


def _maximised(points: Tensor, share: Tensor) -> Mixture:
    """The mixture whose parts have these shares (n, k) in the points."""
    count = share.sum(0) + 1e-9
    mean = (share.mT @ points) / count.unsqueeze(1)
    off = points.unsqueeze(0) - mean.unsqueeze(1)  # (k, n, d)
    covariance = (off * share.mT.unsqueeze(-1)).mT @ off / count.view(-1, 1, 1)
    least = _LEAST_VARIANCE * torch.eye(points.shape[1], dtype=points.dtype)
    return Mixture(weight=count / count.sum(), mean=mean, covariance=covariance + least)


def best_fit(points: Tensor, most: int, generator: torch.Generator) -> Mixture:
    """The best of mixtures of 2 to `most` parts by Akaike's criterion."""
    fits = [fit(points, parts, generator) for parts in range(2, most + 1)]
    return min(fits, key=lambda mixture: mixture.aic(points))
