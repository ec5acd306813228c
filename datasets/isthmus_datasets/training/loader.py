"""Batches of windows for training, from any framework: NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.training.columns import load_columns
from isthmus_datasets.training.frame_cache import cached_frames
from isthmus_datasets.training.windows import WindowConfig, Windows

Batch = dict[str, NDArray[Any]]
"""Column -> (B, n, *shape) of the declared type, camera -> (B, n, H, W, 3) uint8 RGB; NAME_is_pad -> (B, n) bool, True
for rows beyond the episode's ends."""


class Loader:
    """Every window of a dataset once an epoch, in an order that follows from seed and epoch.

    Iterating goes on from where the loader is to the end of its epoch, whether it was left in the middle or loaded
    there; the next iteration is the next epoch. Columns are kept in memory, frames in a file that is made the first
    time (`cached_frames`). Batches are the caller's own: contiguous, and never written to again.

    Args:
        reader: The dataset.
        config: What is cut out around each step.
        batch_size: B; the last batch of an epoch has fewer windows where they do not divide.
        seed: Seed of the order.
        shuffle: False for the order of the dataset in every epoch.
        drop_last: Leave a smaller last batch out.
        episodes: Whose steps are current steps, such as those for training; None for all.
        rank, world_size: Which of how many equal parts of each epoch: of n windows, every rank has n // world_size, and
            thus as many batches as the others.
        cache: Folder for decoded frames; None for one beside the dataset.

    Raises:
        ValueError: no window at all, no batch for each rank, or a batch size or rank that is none.
        IndexError: there is no such episode.
        DatasetError: there is no such column or camera, a file is missing or damaged, or columns do not fit in memory.
        OSError: decoded frames cannot be written; the message says where and how much.
    """

    def __init__(
        self,
        reader: DatasetReader,
        config: WindowConfig,
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        episodes: Sequence[int] | None = None,
        rank: int = 0,
        world_size: int = 1,
        cache: Path | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"a batch has at least 1 window, not {batch_size}")
        if not 0 <= rank < world_size:
            raise ValueError(f"ranks of {world_size} go from 0 to {world_size - 1}, there is no {rank}")
        self._windows = Windows(config, [row.length for row in reader.episodes], episodes)
        self._offsets = {**config.columns, **config.cameras}
        self._rows = load_columns(reader, list(config.columns))
        self._rows |= {camera: cached_frames(reader, camera, cache) for camera in config.cameras}
        self._batch_size, self._drop_last, self._shuffle = batch_size, drop_last, shuffle
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self._epoch = self._batch = 0
        if len(self) == 0:
            raise ValueError(f"{len(self._windows)} windows fill no batch of {batch_size} for {world_size} rank(s)")

    def __len__(self) -> int:
        """Batches an epoch."""
        windows = len(self._windows) // self._world_size
        return windows // self._batch_size if self._drop_last else -(-windows // self._batch_size)

    @property
    def num_windows(self) -> int:
        """Windows an epoch, of all ranks together."""
        return len(self._windows)

    @property
    def epoch(self) -> int:
        """The epoch that the next batch belongs to."""
        return self._epoch

    def __iter__(self) -> Iterator[Batch]:
        epoch, order = self._epoch, self._order()
        while self._epoch == epoch:
            start = self._batch * self._batch_size
            finished, self._batch = divmod(self._batch + 1, len(self))
            self._epoch += finished
            yield self._gather(order[start : start + self._batch_size])

    def _order(self) -> NDArray[np.int64]:
        """This rank's windows in this epoch."""
        count = len(self._windows)
        random = np.random.default_rng([self._seed, self._epoch])
        order = random.permutation(count) if self._shuffle else np.arange(count)
        return order[: count // self._world_size * self._world_size][self._rank :: self._world_size]

    def _gather(self, chosen: NDArray[np.int64]) -> Batch:
        batch: Batch = {}
        for name, offsets in self._offsets.items():
            rows, batch[f"{name}_is_pad"] = self._windows.rows(chosen, offsets)
            batch[name] = self._rows[name].take(rows, axis=0)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Where it is, as JSON values: the same for all ranks."""
        return {"epoch": self._epoch, "batch": self._batch, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on behind the last batch that had been given out when `state` was taken.

        Raises:
            ValueError: it is of a loader with another order, or not a state.
        """
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise ValueError(f"the state is of a loader with {name} {state.get(name)!r}, this one has {value!r}")
        epoch, batch = state.get("epoch"), state.get("batch")
        if not isinstance(epoch, int) or not isinstance(batch, int) or epoch < 0 or not 0 <= batch < len(self):
            raise ValueError(f"the state is at batch {batch} of epoch {epoch}; an epoch has {len(self)} batches")
        self._epoch, self._batch = epoch, batch

    def _identity(self) -> dict[str, Any]:
        """All that the order follows from, besides the epoch."""
        return {
            "windows": self._windows.fingerprint,
            "batch_size": self._batch_size,
            "seed": self._seed,
            "shuffle": self._shuffle,
            "drop_last": self._drop_last,
            "world_size": self._world_size,
        }
