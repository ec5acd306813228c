"""Finding, in few trials, what of a repertoire still works on a robot that is not what it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_policies.repertoire.archive import Archive


@dataclass(frozen=True, kw_only=True)
class RecoveryConfig:
    """Values of Cully et al. 2015, "Robots that can adapt like animals"; quality in shares of the archive's best."""

    trials: int = 20
    """Solutions that are tried at most."""
    enough: float = 0.9
    """It ends when the best trial has this share of what is still expected of any solution."""
    optimism: float = 0.05
    """Standard deviations of what is not known that are hoped for."""
    reach: float = 0.4
    """How far a trial tells of others, in distance of descriptors."""
    noise: float = 0.001
    """Variance of a trial."""


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What was tried: cells in order, and the quality of each on the robot."""

    cells: list[int]
    quality: list[float]

    @property
    def best(self) -> float:
        """The greatest quality of all trials."""
        return max(self.quality)


def recover(archive: Archive, test: Callable[[int], float], config: RecoveryConfig) -> Recovery:
    """Try one solution after the other: the one of which most is expected, given the archive and all trials (a Gaussian
    process whose mean is the archive, M-BOA of the paper above).

    Args:
        archive: What solutions did before the damage.
        test: Number of a cell -> quality of its solution on the robot; what is not finite counts as 0.
        config: How much it trusts in what.
    """
    cells, scale = archive.filled, float(archive.quality[archive.best])
    before = archive.quality[cells].double() / scale
    descriptors = archive.descriptors[cells].double()
    likeness = _matern(torch.cdist(descriptors, descriptors), config.reach)
    tried: list[int] = []
    quality: list[float] = []
    expected, doubt = before, torch.ones_like(before)
    while len(tried) < config.trials:
        tried.append(int((expected + config.optimism * doubt).argmax()))
        found = test(int(cells[tried[-1]]))
        quality.append(found if abs(found) < float("inf") else 0.0)
        seen = torch.tensor(quality).double() / scale
        expected, doubt = _posterior(before, likeness, tried, seen, config.noise)
        if seen.max() >= config.enough * expected.max():
            break
    return Recovery(cells=cells[tried].tolist(), quality=quality)


def _matern(distance: Tensor, reach: float) -> Tensor:
    """The Matérn kernel with ν = 5/2."""
    d = 5**0.5 * distance / reach
    return (1 + d + d.square() / 3) * torch.exp(-d)


def _posterior(
    before: Tensor, likeness: Tensor, tried: list[int], seen: Tensor, noise: float
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every solution, (k,) each (Rasmussen & Williams 2006, eq. 2.25 and 2.26)."""
    near = likeness[:, tried]
    factor = torch.linalg.cholesky(likeness[tried][:, tried] + noise * torch.eye(len(tried), dtype=torch.float64))
    weights = torch.cholesky_solve(near.T, factor)
    mean = before + weights.T @ (seen - before[tried])
    variance = 1.0 - (near.T * weights).sum(0)
    return mean, variance.clamp_min(0.0).sqrt()
