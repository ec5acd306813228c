"""Windows of one or several datasets as torch tensors."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from isthmus_datasets.format.episode_index import EpisodeRow
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.training.alike import check_features
from isthmus_datasets.training.loaded_episodes import Choice, LoadedEpisodes
from isthmus_datasets.training.numbered_random import WindowRandom, mixed, uniform
from isthmus_datasets.training.windows import Offsets, WindowConfig

Batch = dict[str, Tensor]
"""Column -> (B, n, *shape), floats as float32; camera -> (B, n, 3, H, W) uint8 RGB; NAME_is_pad -> (B, n) bool, True
for rows beyond the episode's ends (what was observed after its last action is none); a mask's name -> (B, n) bool;
goal.NAME -> (B, *shape), and goal.steps -> (B,) int64, how many steps later it is."""
Transform = Callable[[Tensor, WindowRandom], Tensor]
"""Changes images (B, n, 3, H, W) uint8, all n of a window alike, by the numbers that are drawn for each window."""


@dataclass(frozen=True, kw_only=True)
class Subset:
    """Some episodes of a dataset: those that `episodes` says yes to, those of these numbers, or all."""

    reader: DatasetReader
    episodes: Choice = None


@dataclass(frozen=True, kw_only=True)
class WindowTable:
    """All windows, those of later episodes behind those of earlier ones. Each array is (windows,).

    Args:
        source: Number of the dataset.
        episode: Its place among the chosen episodes of that dataset.
        current, low, high: Rows of that dataset: the current step, the episode's first and last.
    """

    source: NDArray[np.int64]
    episode: NDArray[np.int64]
    current: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence[WindowTable]) -> WindowTable:
        """One behind the other."""
        names = ("source", "episode", "current", "low", "high")
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


class WindowDataset(Dataset[Batch]):
    """Every window of the chosen episodes. Columns are kept in memory, frames in files that are made the first time
    (`FrameCache`).

    A window is asked for by its number, or by its number and a draw: an integer from which everything follows that is
    drawn for it (its goal, what `transform` does). `batch` gives many at once; `__getitems__` lets torch's DataLoader
    do that too, with a `WindowSampler` as its batch_sampler and `as_it_is` as its collate_fn.

    Args:
        datasets: Whose, one or several.
        config: What is cut out around each step.
        size: (H, W) that images are scaled to, by the mean of what each pixel covers; None for the datasets' own.
        transform: What is done to the images of each camera and of goals, by the same numbers for all of a window.
        cache: A folder for decoded frames of any datasets; None for one beside each dataset.
        cache_limit: Bytes that each camera's file there may have; None for what the disk has.
        arrivals: How many episodes each dataset had at first, and after each `refresh`, as the property of this name
            says: with those of another one, windows have its numbers. None for as many as there are.

    Raises:
        ValueError: there is no dataset, `size` is none, or `arrivals` are of other datasets.
        IndexError: there is no such episode.
        DatasetError: there is no such column or camera, or a mask is of a column of several numbers; a number is not
            finite; datasets differ in their rate or in a feature (type, shape, order of its elements, units); an
            episode is shorter than a window; a file is missing or damaged; columns do not fit into memory. The message
            names dataset, episode and feature.
        OSError: decoded frames cannot be written; the message says where and how much.
    """

    def __init__(
        self,
        datasets: DatasetReader | Subset | Sequence[DatasetReader | Subset],
        config: WindowConfig,
        *,
        size: tuple[int, int] | None = None,
        transform: Transform | None = None,
        cache: Path | None = None,
        cache_limit: int | None = None,
        arrivals: Sequence[Sequence[int]] | None = None,
    ) -> None:
        listed = [datasets] if isinstance(datasets, DatasetReader | Subset) else list(datasets)
        subsets = [each if isinstance(each, Subset) else Subset(reader=each) for each in listed]
        if not subsets:
            raise ValueError("windows need at least one dataset")
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise ValueError(f"a size is (H, W) in pixels, not {size}")
        if any(len(counts) != len(subsets) for counts in arrivals or ()):
            raise ValueError(f"arrivals are of {len((arrivals or [[]])[0])} datasets, there are {len(subsets)}")
        _check_alike([subset.reader for subset in subsets], config, any_size=size is not None)
        self.config, self._transform = config, transform
        options = {"size": size, "cache": cache, "cache_limit": cache_limit}
        self.sources = [LoadedEpisodes(each.reader, config, episodes=each.episodes, **options) for each in subsets]
        known = {name for source in self.sources for name in source.finals.values}
        self._next = {name: first for name, (first, _) in {**config.columns, **config.cameras}.items() if name in known}
        nothing = np.zeros(0, np.int64)
        self.table = WindowTable(source=nothing, episode=nothing, current=nothing, low=nothing, high=nothing)
        self.arrivals: list[list[int]] = []
        self._fingerprints: dict[int, str] = {}
        for counts in arrivals or [[source.reader.num_episodes for source in self.sources]]:
            self._take(list(counts))

    def __len__(self) -> int:
        return len(self.table.current)

    def refresh(self) -> int:
        """Take in what was appended to the datasets; how many windows came with it. Those that were there keep their
        numbers. Raises DatasetError where an earlier episode has changed."""
        before, counts = len(self), [source.look() for source in self.sources]
        if counts != self.arrivals[-1]:
            self._take(counts)
        return len(self) - before

    def _take(self, counts: list[int]) -> None:
        parts = [self.table]
        for number, (source, count) in enumerate(zip(self.sources, counts, strict=True)):
            if count > source.reader.num_episodes:
                raise DatasetError(
                    f"{source.reader.root} has {source.reader.num_episodes} episodes, {count} are wanted"
                )
            parts += self._table(number, len(source.rows), source.take(count))
        self.table = WindowTable.joined(parts)
        self.arrivals.append(counts)

    def _table(self, source: int, before: int, rows: list[EpisodeRow]) -> list[WindowTable]:
        """Windows of episodes that came behind `before` others."""
        finals = self.sources[source].finals
        ends = np.cumsum([row.length for row in self.sources[source].rows]).tolist()
        tables = []
        for place, row in enumerate(rows, start=before):
            final = finals.values if finals.kept[place] else ()
            steps = np.asarray(self.config.current_steps(row.length, final), np.int64)
            low, same = ends[place] - row.length, np.ones(len(steps), np.int64)
            tables.append(
                WindowTable(
                    source=source * same, episode=place * same, current=low + steps, low=low * same,
                    high=(ends[place] - 1) * same,
                )
            )  # fmt: skip
        return tables

    def fingerprint(self, count: int) -> str:
        """Tells the first `count` windows from others; they never change."""
        if count not in self._fingerprints:
            checksum, table = 0, self.table
            for values in (table.source, table.current, table.low, table.high):
                checksum = zlib.crc32(values[:count].tobytes(), checksum)
            self._fingerprints[count] = f"{count}-{checksum:08x}"
        return self._fingerprints[count]

    def __getitem__(self, item: int | tuple[int, int]) -> Batch:
        window, draw = item if isinstance(item, tuple) else (item, item)
        if not 0 <= window < len(self):
            raise IndexError(f"there are {len(self)} windows, there is no {window}")
        return {name: values[0] for name, values in self.batch(np.array([window]), np.array([draw])).items()}

    def __getitems__(self, items: NDArray[np.int64]) -> Batch:
        return self.batch(*np.asarray(items, np.int64).T)

    def batch(self, windows: NDArray[np.int64], draws: NDArray[np.int64]) -> Batch:
        """The windows of these numbers, drawn so: each (B,). Tensors are the caller's own."""
        chosen = _Chosen(self, windows)
        result: Batch = {}
        for name, offsets in self.config.columns.items():
            rows, result[f"{name}_is_pad"] = chosen.rows(offsets)
            result[name] = chosen.column(name, rows)
        for name, offsets in self.config.cameras.items():
            rows, result[f"{name}_is_pad"] = chosen.rows(offsets)
            result[name] = chosen.frames(name, rows)
        for name, first in self._next.items():
            chosen.put_final(name, first, result[name].numpy(), result[f"{name}_is_pad"].numpy())
        for name, mask in self.config.masks.items():
            rows, padding = chosen.rows(mask.offsets)
            values = chosen.column(mask.column, rows).numpy().reshape(*rows.shape, -1)
            result[name] = torch.from_numpy(np.isin(values, mask.values).all(-1)) & ~padding
        if self.config.goal is not None:
            result |= self._goals(chosen, draws)
        return self._transformed(result, draws)

    def _goals(self, chosen: _Chosen, draws: NDArray[np.int64]) -> Batch:
        goal = self.config.goal
        assert goal is not None
        left = chosen.high - chosen.current
        most = left if goal.most is None else np.minimum(left, goal.most)
        least = np.minimum(goal.least, most)
        steps = least + (uniform(mixed(draws.astype(np.uint64))) * (most - least + 1)).astype(np.int64)
        rows = (chosen.current + steps)[:, None]
        seen = {name: chosen.column(name, rows) for name in goal.columns}
        seen |= {name: chosen.frames(name, rows) for name in goal.cameras}
        return {
            "goal.steps": torch.from_numpy(steps),
            **{f"goal.{name}": values[:, 0] for name, values in seen.items()},
        }

    def _transformed(self, batch: Batch, draws: NDArray[np.int64]) -> Batch:
        if self._transform is None:
            return batch
        goals = [f"goal.{name}" for name in self.config.goal.cameras] if self.config.goal else []
        for name in [*self.config.cameras, *goals]:
            images = batch[name] if name in self.config.cameras else batch[name][:, None]
            changed = self._transform(images, WindowRandom(draws))
            batch[name] = changed if name in self.config.cameras else changed[:, 0]
        return batch


class _Chosen:
    """Some windows, and what stands in them; the arrays of a table are looked up once."""

    def __init__(self, dataset: WindowDataset, windows: NDArray[np.int64]) -> None:
        table, self._sources = dataset.table, dataset.sources
        self.current, self.low, self.high = table.current[windows], table.low[windows], table.high[windows]
        self._source, self._episode = table.source[windows], table.episode[windows]

    def rows(self, offsets: Offsets) -> tuple[NDArray[np.int64], Tensor]:
        """Rows that stand there, and which of them are padding: each (B, n)."""
        first, last = offsets
        wanted = self.current[:, None] + np.arange(first, last + 1)
        rows = np.minimum(np.maximum(wanted, self.low[:, None]), self.high[:, None])
        return rows, torch.from_numpy(rows != wanted)

    def column(self, name: str, rows: NDArray[np.int64]) -> Tensor:
        """Their values (B, n, *shape)."""
        return self._gathered(rows, lambda source: self._sources[source].columns[name])

    def frames(self, camera: str, rows: NDArray[np.int64]) -> Tensor:
        """Their frames (B, n, 3, H, W)."""
        places = rows - self.low[:, None]
        frames = [source.frames[camera] for source in self._sources]  # once: a refresh may replace them meanwhile
        for source, inside in self._by_source():
            _, starts = frames[source]
            places[inside] += starts[self._episode[inside], None]
        return self._gathered(places, lambda source: frames[source][0].frames)

    def put_final(self, name: str, first: int, values: NDArray[Any], padding: NDArray[np.bool_]) -> None:
        """Where an episode's final observation was kept, put it behind the last row into windows (B, n, *shape) from
        offset `first` on."""
        place = self.high + 1 - self.current - first
        for source, inside in self._by_source():
            finals = self._sources[source].finals
            if name not in finals.values:
                continue
            windows = np.arange(len(place))[inside]
            windows = windows[finals.kept[self._episode[windows]]]
            which, column = np.nonzero(np.arange(values.shape[1]) >= place[windows, None])
            behind = windows[which]
            values[behind, column] = finals.values[name][self._episode[behind]]
            padding[behind, column] &= column != place[behind]

    def _by_source(self) -> list[tuple[int, Any]]:
        if len(self._sources) == 1:
            return [(0, slice(None))]
        return [(int(source), np.flatnonzero(self._source == source)) for source in np.unique(self._source)]

    def _gathered(self, places: NDArray[np.int64], values: Callable[[int], NDArray[Any]]) -> Tensor:
        """(B, n, *shape): `values` of each window's source at its places."""
        groups = self._by_source()
        like = values(groups[0][0])
        result = np.empty((*places.shape, *like.shape[1:]), like.dtype)
        if len(groups) == 1:  # straight to where it belongs; "clip", so that nothing is buffered on the way
            like.take(places, axis=0, out=result, mode="clip")
        else:
            for source, inside in groups:
                result[inside] = values(source).take(places[inside], axis=0)
        return torch.from_numpy(result)


def as_it_is(batch: Batch) -> Batch:
    """The collate_fn of a DataLoader: `__getitems__` gives whole batches."""
    return batch


def _check_alike(readers: Sequence[DatasetReader], config: WindowConfig, *, any_size: bool) -> None:
    """Raises DatasetError where one has another rate than the first, or another form of what is read."""
    first, *others = readers
    for other in others:
        if other.info.fps != first.info.fps:
            raise DatasetError(
                f"{other.root} has {other.info.fps} rows a second, {first.root} {first.info.fps}: a window would last "
                "another time; train on one of them, or convert it"
            )
    check_features(readers, (*config.all_columns, *config.all_cameras), any_size=any_size)
    for reader, (name, mask) in product(readers, config.masks.items()):
        feature = reader.info.features.get(mask.column)
        if feature is not None and feature.shape != (1,):
            raise DatasetError(
                f"{reader.root}: mask {name!r}: {mask.column!r} is {feature.shape} a row, not one number"
            )
