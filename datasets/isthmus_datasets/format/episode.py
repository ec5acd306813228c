"""One demonstration, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.images.pixels import Pixels

Scalar = str | bool | int | float | None
"""A fact about an episode: what a JSON value can be without being a list or an object."""
Frames = Callable[[], Iterable[Pixels]]
"""Gives the frames of a video one after the other, as often as it is called."""
ImageFiles = Callable[[], Iterable[Pixels | bytes]]
"""The same of an image column, which keeps a PNG or JPEG file as it is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Episode:
    """T steps.

    Args:
        columns: name -> (T, *shape), without the index columns. An "image" feature is a column of images.
        videos: camera -> (T, H, W, 3) uint8 RGB or (T, H, W, 1) uint16 depths, the path of an mp4 file that holds
            them, or what gives one after the other. An "image" feature can stand here too, so that its images need
            not be in memory.
        task: What was asked, in words.
        facts: Per-episode scalars, such as success, operator and seed.
        final: What was observed after the last action: observation column or camera -> its values (*shape); None where
            it was not kept.
    """

    columns: dict[str, NDArray[Any]]
    videos: Mapping[str, Pixels | Path | Frames | ImageFiles] = field(default_factory=dict)
    task: str
    facts: dict[str, Scalar] = field(default_factory=dict)
    final: Mapping[str, NDArray[Any]] | None = None

    @property
    def length(self) -> int:
        """T. Raises ValueError when there is neither a column nor a video in memory to tell."""
        arrays = [*self.columns.values(), *(v for v in self.videos.values() if isinstance(v, np.ndarray))]
        if not arrays:
            raise ValueError("an episode needs at least one column")
        return len(arrays[0])
