"""The archive of MAP-Elites: of every kind of behaviour, the best solution so far."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


class Archive:
    """A grid of cells over descriptors in [0, 1]; each holds its best solution (Mouret & Clune 2015, "Illuminating
    search spaces by mapping elites", arXiv 1504.04909).

    Args:
        bins: Cells along each number of a descriptor.
        size: Numbers of a solution.

    Raises:
        ValueError: not at least one cell along each, or no numbers.
    """

    def __init__(self, bins: tuple[int, ...], size: int) -> None:
        if not bins or min(bins) < 1 or size < 1:
            raise ValueError(f"an archive needs cells along each descriptor, and solutions of numbers: {bins}, {size}")
        self.bins, self.size = bins, size
        cells = math.prod(bins)
        self.solutions = torch.zeros(cells, size)
        self.descriptors = torch.zeros(cells, len(bins))
        self.quality = torch.full((cells,), -math.inf)

    @property
    def filled(self) -> Tensor:
        """Numbers of the cells that hold a solution, (k,)."""
        return self.quality.isfinite().nonzero().squeeze(-1)

    @property
    def coverage(self) -> float:
        """Share of the cells that hold a solution."""
        return len(self.filled) / len(self.quality)

    @property
    def best(self) -> int:
        """Number of the cell with the best solution. Raises ValueError while there is none."""
        if not len(self.filled):
            raise ValueError("the archive is empty: nothing that was tried was valid")
        return int(self.quality.argmax())

    def cells(self, descriptors: Tensor) -> Tensor:
        """Number of the cell of each descriptor, (n, d) -> (n,)."""
        bins = torch.tensor(self.bins)
        along = (descriptors * bins).long().clamp_min(0).minimum(bins - 1)
        strides = torch.tensor([math.prod(self.bins[i + 1 :]) for i in range(len(self.bins))])
        return (along * strides).sum(-1)

    def add(self, solutions: Tensor, descriptors: Tensor, quality: Tensor) -> int:
        """Put solutions (n, size) with descriptors (n, d) into their cells where they are better than what is there;
        those whose quality (n,) is not finite are none. Returns how many cells changed."""
        cells, changed = self.cells(descriptors), set()
        for i in quality.isfinite().nonzero().squeeze(-1).tolist():
            cell = int(cells[i])
            if quality[i] > self.quality[cell]:
                self.solutions[cell], self.descriptors[cell] = solutions[i], descriptors[i]
                self.quality[cell] = quality[i]
                changed.add(cell)
        return len(changed)

    def save(self, path: Path) -> None:
        """Write it as safetensors."""
        tensors = {"solutions": self.solutions, "descriptors": self.descriptors, "quality": self.quality}
        save_file(tensors, path, metadata={"bins": " ".join(map(str, self.bins))})

    @classmethod
    def load(cls, path: Path) -> Archive:
        """What `save` wrote. Raises ValueError for a file that is none, or not whole."""
        try:
            with safe_open(path, "pt") as file:
                bins = tuple(map(int, (file.metadata() or {}).get("bins", "").split()))
                found = {name: file.get_tensor(name) for name in ("solutions", "descriptors", "quality")}
            archive = cls(bins, found["solutions"].shape[-1])
        except (SafetensorError, ValueError) as error:
            raise ValueError(f"{path} is no archive of solutions: {error}") from error
        for name, value in found.items():
            if value.shape != getattr(archive, name).shape:
                raise ValueError(f"{path} is no archive of solutions: {name} has the shape {tuple(value.shape)}")
            setattr(archive, name, value)
        return archive
