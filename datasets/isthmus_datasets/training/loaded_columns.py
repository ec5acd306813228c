"""Columns of a whole dataset, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.episode_index import EpisodeRow
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.parquet import from_arrow, read_rows
from isthmus_datasets.format.reader import DatasetReader

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def load_columns(
    reader: DatasetReader, names: Sequence[str], *, episodes: Sequence[int] | None = None, limit: int | None = None
) -> dict[str, NDArray[Any]]:
    """name -> (rows of the episodes, *shape) of the declared type, episodes in the order of the dataset.

    Args:
        reader: The dataset.
        names: Columns of numbers, index columns among them.
        episodes: Whose; None for all.
        limit: Bytes that they may take; None for what is available.

    Raises:
        DatasetError: there is no such column of numbers, a file is missing or damaged, a number in it is none, or they
            would not fit.
    """
    numeric = {name: f for name, f in reader.info.parquet_features.items() if f.dtype not in ("string", "image")}
    for name in names:
        if name not in numeric:
            raise DatasetError(f"{reader.root} has no column of numbers {name!r}; there is {', '.join(numeric)}")
    if not names:
        return {}
    chosen = {row.index for row in reader.episodes} if episodes is None else set(episodes)
    total = sum(row.length for row in reader.episodes if row.index in chosen)
    needed = total * sum(numeric[name].numpy.itemsize * int(np.prod(numeric[name].shape)) for name in names)
    limit = available_memory() if limit is None else limit
    if needed > limit:
        raise DatasetError(
            f"{reader.root}: {', '.join(names)} of {total} rows take {needed / 1e9:.3g} GB of memory,"
            f" {limit / 1e9:.3g} GB are available: ask for fewer columns, or split the dataset"
        )
    columns = {name: np.empty((total, *numeric[name].shape), numeric[name].numpy) for name in names}
    start = 0
    for _, rows in groupby(reader.episodes, key=lambda row: (row.chunk, row.file)):
        start = _read_file(reader, list(rows), chosen, columns, start)
    return columns


def _read_file(
    reader: DatasetReader, episodes: list[EpisodeRow], chosen: set[int], columns: dict[str, NDArray[Any]], start: int
) -> int:
    """Fill in `columns` from row `start` on with the chosen ones of a file's episodes at once: a file of thousands
    takes long to open. Returns the row behind them."""
    wanted = [row.index in chosen for row in episodes]
    if not any(wanted):
        return start
    path = reader.root / reader.info.data_file(episodes[0].chunk, episodes[0].file)
    counts = [row.length for row in episodes]
    table = read_rows(path, list({*columns, "episode_index"}), first=0, count=sum(counts))
    wrong = np.flatnonzero(table["episode_index"].to_numpy() != np.repeat([row.index for row in episodes], counts))
    if len(wrong):
        episode = episodes[int(np.searchsorted(np.cumsum(counts), wrong[0], side="right"))].index
        raise DatasetError(
            f"{path}: row {wrong[0]} is not of episode {episode}, as meta/episodes says: check the dataset"
        )
    inside = np.repeat(wanted, counts)
    stop = start + int(inside.sum())
    for name, values in columns.items():
        try:
            values[start:stop] = from_arrow(reader.info.features[name], table[name])[inside]
        except ValueError as error:
            raise DatasetError(f"{path}: column {name!r} {error}") from error
        _check_finite(reader, [row for row in episodes if row.index in chosen], name, values[start:stop])
    return stop


def _check_finite(reader: DatasetReader, episodes: list[EpisodeRow], name: str, values: NDArray[Any]) -> None:
    """Raises DatasetError where one of these episodes' numbers (rows, *shape) is not finite as a float32, which is what
    networks take: nobody could learn from it."""
    most = np.finfo(np.float32).max
    if values.dtype.kind != "f" or not values.size or (-most <= values.min() and values.max() <= most):
        return
    spoilt = ~(np.abs(values) <= most)
    row = int(np.argwhere(spoilt)[0, 0])
    ends = np.cumsum([episode.length for episode in episodes])
    place = int(np.searchsorted(ends, row, side="right"))
    step = row - int(ends[place]) + episodes[place].length
    raise DatasetError(
        f"{reader.root}: episode {episodes[place].index}: {name!r} is not finite as float32 at step {step} in "
        f"{element_names(reader.info.features[name], spoilt[row])}: leave the episode or the column out"
    )


def element_names(feature: Feature, chosen: NDArray[np.bool_]) -> str:
    """Names of elements, or their numbers where they have none."""
    names = feature.names if feature.names and len(feature.names) == chosen.size else range(chosen.size)
    return ", ".join(str(name) for name, is_one in zip(names, chosen.ravel(), strict=True) if is_one)


def available_memory() -> int:
    """Bytes that can be had without swapping, and not more than a container's limit."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    if _CONTAINER_LIMIT.exists() and (limit := _CONTAINER_LIMIT.read_text().strip()).isdigit():
        return min(available, int(limit))
    return available
