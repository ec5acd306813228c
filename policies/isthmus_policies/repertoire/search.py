"""Filling an archive: variation of what it holds, or, as a control, chance alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_policies.repertoire.archive import Archive

Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Solutions (n, size) in [0, 1] -> descriptors (n, d) in [0, 1], quality (n,), which is not finite for invalid ones."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How an archive is filled."""

    first: int = 512
    """Solutions that are drawn evenly at first."""
    trials: int = 5120
    """Solutions that are tried in all."""
    batch: int = 128
    """Solutions that are tried side by side."""
    step: float = 0.02
    """Standard deviation of what is added to each number."""
    line: float = 0.2
    """Standard deviation of the step towards another solution of the archive, in shares of the way (Vassiliades &
    Mouret 2018, "Discovering the elite hypervolume by leveraging interspecies correlation": 0.01 and 0.2)."""
    vary: bool = True
    """Whether what the archive holds is varied; otherwise all are drawn evenly."""


def search(evaluate: Evaluate, archive: Archive, config: SearchConfig, seed: int) -> None:
    """Try solutions and keep the best of each cell. Raises ValueError where none of the first is valid."""
    generator = torch.Generator().manual_seed(seed)
    for tried in range(0, config.trials, config.batch):
        n = min(config.batch, config.trials - tried)
        if tried < config.first or not config.vary:
            solutions = torch.rand(n, archive.size, generator=generator)
        else:
            solutions = _varied(archive, n, config, generator)
        archive.add(solutions, *evaluate(solutions))


def _varied(archive: Archive, n: int, config: SearchConfig, generator: torch.Generator) -> Tensor:
    """(n, size): each between, or beyond, two solutions of the archive, and a little beside."""
    filled = archive.filled
    if not len(filled):
        raise ValueError("none of the first solutions is valid: draw more of them, or from a smaller range")
    parents = archive.solutions[filled[torch.randint(len(filled), (2, n), generator=generator)]]
    along = config.line * torch.randn(n, 1, generator=generator)
    beside = config.step * torch.randn(n, archive.size, generator=generator)
    return (parents[0] + along * (parents[1] - parents[0]) + beside).clamp(0.0, 1.0)
