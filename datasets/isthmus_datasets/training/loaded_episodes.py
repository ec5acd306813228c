"""Chosen episodes of a dataset in memory, for windows: their columns, and where their frames are."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.episode_index import EpisodeRow
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.training.alike import difference
from isthmus_datasets.training.final_rows import FinalRows, load_finals
from isthmus_datasets.training.frame_cache import FrameCache
from isthmus_datasets.training.loaded_columns import load_columns
from isthmus_datasets.training.windows import WindowConfig

Choice = Callable[[EpisodeRow], bool] | Sequence[int] | None
"""Which episodes: those that a function says yes to, those of these numbers, or all."""

_Facts = tuple[int, int, int]
"""Size, time of change in ns and number of a file."""


class LoadedEpisodes:
    """Grows with its dataset: `look` sees what was appended, `take` loads it.

    Args:
        reader: The dataset.
        config: What is cut out.
        episodes: Which are chosen.
        size: (H, W) of images; None for the dataset's own.
        cache, cache_limit: As `FrameCache` takes them.

    Raises:
        DatasetError: there is no such column or camera.
        IndexError: there is no such episode.
    """

    def __init__(
        self,
        reader: DatasetReader,
        config: WindowConfig,
        *,
        episodes: Choice,
        size: tuple[int, int] | None,
        cache: Path | None,
        cache_limit: int | None,
    ) -> None:
        self.reader, self._config, self._choice = reader, config, episodes
        self._caching: dict[str, Any] = {"size": size, "cache": cache, "limit": cache_limit}
        self.frames: dict[str, tuple[FrameCache, NDArray[np.int64]]] = {
            camera: (FrameCache(reader, camera, **self._caching), np.zeros(0, np.int64))
            for camera in config.all_cameras
        }
        """camera -> a cache, and the number there of each chosen episode's first frame. `take` puts both in place at
        once, and never prepares a cache that windows may be drawn from meanwhile: its file can become another one."""
        check_choice(reader, episodes)
        self.rows: list[EpisodeRow] = []
        """The chosen episodes, in the order in which their rows stand in `columns`."""
        self.columns = self._load([])
        self.finals = self._finals([])
        """What was observed after each chosen episode's last action, of what windows ask for after the current step."""
        self._seen = 0
        self._files: dict[Path, _Facts | None] = {}

    def look(self) -> int:
        """How many episodes the dataset has by now.

        Raises:
            DatasetError: one that was taken is another one now, or the dataset has another rate or a feature of other
                values.
        """
        now = DatasetReader(self.reader.root)
        self._check_declared(now)
        for before, after in zip(self.reader.episodes, now.episodes, strict=False):
            if before != after:
                raise DatasetError(
                    f"{now.root}: episode {before.index} has changed while it was trained on: it had {before.length} "
                    f"rows and has {after.length}: begin anew"
                )
        if now.num_episodes < self.reader.num_episodes:
            raise DatasetError(
                f"{now.root} had {self.reader.num_episodes} episodes, and has {now.num_episodes}: begin anew"
            )
        self._check_files(now)
        self.reader = now
        return now.num_episodes

    def _check_declared(self, now: DatasetReader) -> None:
        if now.info.fps != self.reader.info.fps:
            raise DatasetError(
                f"{now.root} had {self.reader.info.fps} rows a second while it was trained on, and has {now.info.fps}: "
                "begin anew"
            )
        for name in (*self._config.all_columns, *self._config.all_cameras):
            was, is_now = self.reader.info.features.get(name), now.info.features.get(name)
            if was and is_now and (found := difference(was, is_now)):
                raise DatasetError(
                    f"{now.root}: {name!r} was {found[0]} while it was trained on, and is {found[1]}: begin anew"
                )

    def _check_files(self, now: DatasetReader) -> None:
        """A file that episodes have joined is another one, and that is right."""
        grown = {path for row in now.episodes[self._seen :] for path in self._paths(row)}
        for path, was in self._files.items():
            if path not in grown and _facts(path) != was:
                episode = next(row.index for row in self.rows if path in self._paths(row))
                raise DatasetError(
                    f"{now.root}: episode {episode} has changed while it was trained on: {path} is another file now: "
                    "begin anew"
                )

    def _paths(self, row: EpisodeRow) -> list[Path]:
        """The files that hold an episode."""
        info = self.reader.info
        places = [(name, row.videos[name]) for name in self._config.all_cameras if name in row.videos]
        names = [info.data_file(row.chunk, row.file), *(info.video_file(n, p.chunk, p.file) for n, p in places)]
        return [self.reader.root / name for name in names]

    def take(self, count: int) -> list[EpisodeRow]:
        """Load those of the first `count` episodes that are chosen and not loaded yet. Raises as `load_columns` and
        `FrameCache.prepare`, and DatasetError for one that no window fits into."""
        come = self.reader.episodes[self._seen : count]
        new = [row for row in come if is_chosen(row, self._choice)]
        used = {path for row in new for path in self._paths(row)} | self._files.keys()
        self._files |= {path: _facts(path) for row in come for path in self._paths(row) if path in used}
        finals = self._finals(new)
        for row, kept in zip(new, finals.kept, strict=True):
            self._check_length(row, finals.values if kept else ())
        self._seen = max(self._seen, count)
        if not new:
            return []
        self.finals = self.finals.joined(finals)
        loaded = self._load([row.index for row in new])
        self.columns = {name: np.concatenate([values, loaded[name]]) for name, values in self.columns.items()}
        self.rows += new
        if self.frames:
            with ThreadPoolExecutor(len(self.frames)) as pool:  # of so many, because each waits for its decoders
                self.frames |= zip(self.frames, pool.map(self._cached, self.frames), strict=True)
        return new

    def _cached(self, camera: str) -> tuple[FrameCache, NDArray[np.int64]]:
        """A camera's frames, by its share of the cores."""
        cache, cores = FrameCache(self.reader, camera, **self._caching), len(os.sched_getaffinity(0))
        workers = max(1, cores // len(self.frames))
        cache.prepare(self.reader, [row.index for row in self.rows], workers=workers)
        return cache, np.array([cache.start(self.reader, row.index) for row in self.rows])

    def _load(self, episodes: list[int]) -> dict[str, NDArray[Any]]:
        """Floats as float32, which is what networks take."""
        columns = load_columns(self.reader, self._config.all_columns, episodes=episodes)
        return {name: v.astype(np.float32) if v.dtype == np.float64 else v for name, v in columns.items()}

    def _finals(self, episodes: list[EpisodeRow]) -> FinalRows:
        return load_finals(self.reader, self._config.next_observations, episodes, size=self._caching["size"])

    def _check_length(self, row: EpisodeRow, final: Collection[str]) -> None:
        if not self._config.current_steps(row.length, final):
            names = ", ".join((*self._config.columns, *self._config.cameras))
            raise DatasetError(
                f"{self.reader.root}: episode {row.index} has {row.length} rows, too few for one window of {names}: "
                "allow more padding (pad_before, pad_after), take a shorter window, or leave the episode out "
                f"(isthmus-dataset select --delete {row.index})"
            )


def check_choice(reader: DatasetReader, episodes: Choice) -> None:
    """Raises IndexError where a dataset has no episode of one of these numbers."""
    numbers = () if episodes is None or callable(episodes) else episodes
    if not all(0 <= index < reader.num_episodes for index in numbers):
        raise IndexError(f"{reader.root} has {reader.num_episodes} episodes, asked for {list(numbers)}")


def is_chosen(row: EpisodeRow, episodes: Choice) -> bool:
    """Whether an episode is one of those."""
    if episodes is None:
        return True
    return episodes(row) if callable(episodes) else row.index in episodes


def _facts(path: Path) -> _Facts | None:
    """None where it is missing."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_size, facts.st_mtime_ns, facts.st_ino
