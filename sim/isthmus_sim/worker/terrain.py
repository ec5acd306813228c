"""Terrain as triangles."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def triangles(heights: Array, cell: float) -> tuple[Array, Array]:
    """Vertices (v, 3) float32 m and faces (f, 3) uint32 of heights (rows along x, columns along y), `cell` m apart and
    centred at the origin; seen from above the faces turn left."""
    rows, columns = heights.shape
    x = cell * (np.arange(rows) - 0.5 * (rows - 1))
    y = cell * (np.arange(columns) - 0.5 * (columns - 1))
    vertices = np.stack((*np.meshgrid(x, y, indexing="ij"), heights), axis=-1).reshape(-1, 3).astype(np.float32)
    corner = np.arange(rows * columns, dtype=np.uint32).reshape(rows, columns)[:-1, :-1].reshape(-1, 1)
    halves = np.array([[0, columns, columns + 1], [0, columns + 1, 1]], np.uint32)
    return vertices, (corner[:, None] + halves).reshape(-1, 3)
