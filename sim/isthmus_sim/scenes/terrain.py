"""Rough ground: one height field of square tiles, a row for each level of difficulty, a column for each kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus_sim.on_device import Constant

KINDS = ("rough", "slope", "steps up", "steps down", "waves")
_STANDING = 0.75  # m, half the side of the flat place in the middle of a tile, where robots start


@dataclass(frozen=True, kw_only=True)
class TerrainConfig:
    """Sizes in m, and what the hardest level is; the first level is nearly flat, those between go evenly.

    rough: height of random bumps, m; slope: rise over run; step: height of a step, m; wave: amplitude, m; border: flat
    ground around the tiles, m, so wide that a walk of 20 s from an outer tile hardly ever leaves it.
    """

    levels: int = 8
    tile: float = 8.0
    cell: float = 0.1
    step_run: float = 0.4
    rough: float = 0.08
    slope: float = 0.4
    step: float = 0.15
    wave: float = 0.12
    border: float = 8.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.levels < 1:
            raise ValueError(f"levels must be at least 1, got {self.levels}")
        for name in ("tile", "border"):
            cells = getattr(self, name) / self.cell
            if abs(cells - round(cells)) > 1e-6:
                raise ValueError(f"{name}: {getattr(self, name)} m is no whole number of cells of {self.cell} m")


class Terrain:
    """The heights (rows along x, columns along y), m, and where its tiles are."""

    def __init__(self, config: TerrainConfig) -> None:
        self.config = config
        side, edge = round(config.tile / config.cell), round(config.border / config.cell)
        random = np.random.default_rng(config.seed)
        shape = (config.levels * side + 2 * edge + 1, len(KINDS) * side + 2 * edge + 1)
        heights = np.zeros(shape, np.float32)
        for level in range(config.levels):
            for column, kind in enumerate(KINDS):
                rows, columns = (slice(edge + i * side, edge + (i + 1) * side) for i in (level, column))
                heights[rows, columns] = _tile(kind, (level + 0.5) / config.levels, config, random)
        self.heights = torch.from_numpy(heights)
        last = torch.tensor(shape, dtype=torch.float32) - 1
        self._heights, self._last = Constant(self.heights), Constant(last - 1e-3)
        self._centre = Constant(last * (0.5 * config.cell))

    def origin(self, level: Tensor, kind: Tensor) -> Tensor:
        """(n, 3) m: middle of the tiles of `level` (n,) and `kind` (n,), on the ground."""
        tile = torch.stack((level, kind), dim=-1).float() + 0.5
        place = tile * self.config.tile + self.config.border - self._centre.to(tile)
        return torch.cat((place, self.height(place).unsqueeze(-1)), dim=-1)

    def height(self, place: Tensor) -> Tensor:
        """(...) m: the ground's height at `place` (..., 2) m, on the triangles that MuJoCo makes of the grid; beyond
        the edge the edge's, and no number where `place` is none."""
        heights = self._heights.to(place)
        columns = heights.shape[1]
        grid = (place + self._centre.to(place)) / self.config.cell
        grid = torch.minimum(grid.clamp_min(0.0), self._last.to(place))
        corner = torch.where(grid.isnan(), 0.0, grid).long()
        x, y = (grid - corner).unbind(-1)
        first = corner[..., 0] * columns + corner[..., 1]
        # A cell's two triangles share the diagonal from its first to its last corner.
        other = torch.where(x >= y, columns, 1)
        near, side, far = (heights.take(index) for index in (first, first + other, first + columns + 1))
        along, across = torch.maximum(x, y), torch.minimum(x, y)
        return near + along * (side - near) + across * (far - side)


def _tile(kind: str, difficulty: float, config: TerrainConfig, random: np.random.Generator) -> NDArray[np.float32]:
    """Heights (side, side) of a tile, 0 at its rim or in its middle; difficulty in (0, 1)."""
    side = round(config.tile / config.cell)
    axis = np.arange(side) * config.cell - config.tile / 2
    x, y = np.meshgrid(axis, axis, indexing="ij")
    out = np.maximum(0.0, np.maximum(abs(x), abs(y)) - _STANDING)  # m outside the flat place
    reach = config.tile / 2 - _STANDING
    stairs = np.ceil(out / config.step_run) * config.step
    inward = np.clip(np.minimum(config.tile / 2 - abs(x), config.tile / 2 - abs(y)) / 0.5, 0.0, 1.0)
    shapes = {
        "rough": lambda: config.rough * random.uniform(-1.0, 1.0, (side, side)) * np.minimum(out / 0.5, 1.0) * inward,
        "slope": lambda: config.slope * (reach - out),
        "steps up": lambda: stairs - stairs.max(),
        "steps down": lambda: stairs.max() - stairs,
        "waves": lambda: config.wave * np.sin(2 * np.pi * out / 2.0) * inward,
    }
    return (difficulty * shapes[kind]()).astype(np.float32)
