"""What the checks look at: all of a dataset that can be read, and what could not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.episode_index import EpisodeRow
from isthmus_datasets.format.info import DatasetInfo
from isthmus_datasets.format.statistics import Statistics
from isthmus_datasets.tools.scan.finding import Finding
from isthmus_datasets.tools.scan.footage import Footage

OBSERVED = ("observation", "state")
"""What the names of columns with observations begin with; LeRobot has "observation.", others "state" alone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EpisodeScan:
    """One episode.

    Args:
        row: What meta/episodes says of it.
        end: What meta/episodes says is the number of the row after its last.
        statistics: What meta/episodes says; empty where it says nothing.
        columns: name -> (T', *shape): what the Parquet file holds, index columns included, without images; T' is
            `row.length` unless that is a finding of the check `rows`. Columns that cannot be read are missing.
        footage: camera or image feature -> what was seen; without those that cannot be decoded.
    """

    row: EpisodeRow
    end: int
    statistics: Statistics
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    footage: dict[str, Footage] = field(default_factory=dict)

    @property
    def index(self) -> int:
        """Number of the episode."""
        return self.row.index

    @property
    def rows(self) -> int:
        """T': how many rows were read."""
        return len(next(iter(self.columns.values()), ()))


@dataclass(frozen=True, kw_only=True)
class TaskTable:
    """meta/tasks.parquet, row by row; `indexed`: the words are its pandas index, where LeRobot looks for them."""

    words: list[str]
    numbers: list[int]
    indexed: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class DatasetScan:
    """A dataset.

    Args:
        root: Its folder.
        info: meta/info.json.
        plain_info: The same, as it stands in the file.
        episodes: Those that meta/info.json counts and meta/episodes has, in the order of their index.
        leftover: What is there and belongs to no episode that counts: files, below `root`.
        tasks: meta/tasks.parquet; None where it cannot be read.
        statistics: meta/stats.json; None where there is none that can be read.
        problems: Findings made on reading.
    """

    root: Path
    info: DatasetInfo
    plain_info: Mapping[str, Any]
    episodes: list[EpisodeScan]
    leftover: list[Path]
    tasks: TaskTable | None
    statistics: Statistics | None
    problems: list[Finding]

    def numbers(self, *prefixes: str) -> list[str]:
        """Names of the columns of floating-point numbers that begin so: "action", "observation" …"""
        features = self.info.features
        return [name for name in self.info.columns if name.startswith(prefixes) and features[name].numpy.kind == "f"]

    def actions(self) -> list[str]:
        """Names of those that are actions, the one that was sent among them."""
        return self.numbers("action", "sent_action")

    def of(self, name: str) -> Iterator[tuple[EpisodeScan, NDArray[Any]]]:
        """Every episode whose column `name` could be read, with it as (T', channels)."""
        for episode in self.episodes:
            if name in episode.columns and episode.rows:
                yield episode, episode.columns[name].reshape(episode.rows, -1)

    def all_of(self, name: str) -> NDArray[Any]:
        """The column in all episodes, (N, channels); those that are not numbers left out."""
        parts = [values for _, values in self.of(name)]
        stacked = np.concatenate(parts) if parts else np.empty((0, int(np.prod(self.info.features[name].shape))))
        return stacked[np.isfinite(stacked).all(axis=1)]

    def span(self, name: str) -> NDArray[np.float64]:
        """Range of each of the column's channels over all episodes; 0 where there is nothing."""
        everything = self.all_of(name)
        return np.ptp(everything, axis=0).astype(float) if len(everything) else np.zeros(everything.shape[1])

    def channel(self, name: str, channel: int | np.integer) -> str:
        """What a channel is called: its name where it has one."""
        feature = self.info.features[name]
        if feature.shape == (1,) and not feature.names:
            return name
        index = np.unravel_index(channel, feature.shape)
        last = feature.names[index[-1]] if feature.names else int(index[-1])
        return f"{name}[{', '.join(map(str, (*map(int, index[:-1]), last)))}]"
