"""Which windows come when: an order that repeats, can be gone on with, and may favour some over others."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.episode_index import EpisodeRow
from isthmus_datasets.training.dataset import WindowDataset
from isthmus_datasets.training.loaded_episodes import LoadedEpisodes
from isthmus_datasets.training.numbered_random import streams, stretch, uniform


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How often windows are drawn. A window's weight within its dataset is that of its episode times that of its step.

    Args:
        datasets: Share of each dataset in all draws, however large it is; None for as many as it has windows, weighted.
        episodes: Weight of an episode, such as `lambda row: 3.0 if row.facts.get("success") else 1.0`; or for each
            dataset those of its episodes, by their numbers.
        steps: Weight of each row as a current step, (n,), from a dataset's columns (those that the windows read), each
            (n, *shape).
    """

    datasets: Sequence[float] | None = None
    episodes: Callable[[EpisodeRow], float] | Sequence[Sequence[float]] | None = None
    steps: Callable[[Mapping[str, NDArray[Any]]], NDArray[np.floating]] | None = None


class WindowSampler:
    """Batches of windows, each (B, 2): numbers and draws. A `batch_sampler` for torch's DataLoader.

    Without weights every window comes once an epoch. With them windows are drawn with replacement, and an epoch is a
    number of batches. Everything follows from seed, epoch and batch. Iterating goes on from where the sampler is to the
    end of its epoch; the next iteration is the next epoch. What a `refresh` of the dataset has brought is drawn from
    the next batch on, or, without weights, in the next epoch.

    Args:
        dataset: Whose windows.
        batch_size: B; the last batch of an epoch has fewer windows where they do not divide.
        seed: Seed of the order.
        shuffle: False for the order of the dataset in every epoch.
        drop_last: Leave a smaller last batch out.
        weights: How often windows are drawn; None for each once an epoch.
        batches: With weights, how many are an epoch; None for as many as there would be without.
        rank, world_size: Which of how many equal parts of each epoch: of n windows, every rank has n // world_size, and
            thus as many batches as the others.

    Raises:
        ValueError: no batch for each rank, a batch size or rank that is none, or weights that are none: negative, not
            finite, for another number of datasets, episodes or rows, or zero in sum. The message names the dataset.
    """

    def __init__(
        self,
        dataset: WindowDataset,
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        weights: Weights | None = None,
        batches: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"a batch has at least 1 window, not {batch_size}")
        if not 0 <= rank < world_size:
            raise ValueError(f"ranks of {world_size} go from 0 to {world_size - 1}, there is no {rank}")
        if batches is not None and (weights is None or batches < 1):
            raise ValueError(f"{batches} batches an epoch: it must be positive, and needs weights")
        self._dataset, self._batch_size, self._drop_last, self._shuffle = dataset, batch_size, drop_last, shuffle
        self._seed, self._weights, self._batches = seed, weights, batches
        self._rank, self._world_size = rank, world_size
        self._windows = len(dataset)
        self._epoch = self._batch = 0
        self._sums = _cumulated(dataset, weights) if weights else None
        self._summed = len(dataset)
        self._weighing: dict[int, str] = {}
        if len(self) == 0:
            raise ValueError(f"{self._windows} windows fill no batch of {batch_size} for {world_size} rank(s)")

    def __len__(self) -> int:
        """Batches an epoch."""
        if self._batches is not None:
            return self._batches
        windows = self._windows // self._world_size
        return windows // self._batch_size if self._drop_last else -(-windows // self._batch_size)

    @property
    def epoch(self) -> int:
        """The epoch that the next batch belongs to."""
        return self._epoch

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        if self._batch == 0:
            self._windows = len(self._dataset)
        epoch, order = self._epoch, self._order() if self._weights is None else None
        # one more than the rank: seed, epoch and 0 are the seeds of the order
        of_windows, of_draws = streams([self._seed, epoch, 1 + self._rank], 2)
        while self._epoch == epoch:
            number = self._batch
            finished, self._batch = divmod(number + 1, len(self))
            self._epoch += finished
            first = number * self._batch_size
            windows = self._drawn(of_windows, first) if order is None else order[first:][: self._batch_size]
            batch = np.empty((len(windows), 2), np.int64)
            batch[:, 0], batch[:, 1] = windows, stretch(of_draws, first, len(windows)) >> np.uint64(1)
            yield batch

    def _order(self) -> NDArray[np.int64]:
        """This rank's windows in this epoch."""
        count, random = self._windows, np.random.default_rng([self._seed, self._epoch])
        order = random.permutation(count) if self._shuffle else np.arange(count)
        return order[: count // self._world_size * self._world_size][self._rank :: self._world_size]

    def _drawn(self, stream: NDArray[np.uint64], first: int) -> NDArray[np.int64]:
        assert self._weights is not None
        if self._summed != len(self._dataset):
            self._sums, self._summed = _cumulated(self._dataset, self._weights), len(self._dataset)
        assert self._sums is not None
        places = uniform(stretch(stream, first, self._batch_size)) * self._sums[-1]
        return np.searchsorted(self._sums, places, side="right")

    def state_dict(self) -> dict[str, Any]:
        """Where it is, as JSON values: the same for all ranks. The dataset's `arrivals` belong to it where it grew."""
        return {
            "epoch": self._epoch,
            "batch": self._batch,
            "num_windows": self._windows,
            **self._identity(self._windows),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on behind the last batch that had been given out when `state` was taken.

        Raises:
            ValueError: it is of a sampler with another order, or not a state.
        """
        count = state.get("num_windows")
        windows = count if isinstance(count, int) and 0 < count <= len(self._dataset) else self._windows
        for name, value in self._identity(windows).items():
            if state.get(name) != value:
                raise ValueError(f"the state is of a sampler with {name} {state.get(name)!r}, this one has {value!r}")
        self._windows = windows
        epoch, batch = state.get("epoch"), state.get("batch")
        if not isinstance(epoch, int) or not isinstance(batch, int) or epoch < 0 or not 0 <= batch < len(self):
            raise ValueError(f"the state is at batch {batch} of epoch {epoch}; an epoch has {len(self)} batches")
        self._epoch, self._batch = epoch, batch

    def _identity(self, windows: int) -> dict[str, Any]:
        """All that the order follows from, besides the epoch."""
        return {
            "windows": self._dataset.fingerprint(windows),
            "batch_size": self._batch_size,
            "seed": self._seed,
            "shuffle": self._shuffle,
            "drop_last": self._drop_last,
            "weights": self._weights and self._told_weights(self._weights, windows),
            "batches": self._batches,
            "world_size": self._world_size,
        }

    def _told_weights(self, weights: Weights, windows: int) -> str:
        """Tells what the first windows weigh from other weights: weights are functions, so it is what they give."""
        if windows not in self._weighing:
            checksum = zlib.crc32(_each(self._dataset, weights)[:windows].tobytes())
            self._weighing[windows] = f"{checksum:08x}, datasets {weights.datasets and [*map(float, weights.datasets)]}"
        return self._weighing[windows]


def _each(dataset: WindowDataset, weights: Weights) -> NDArray[np.float64]:
    """(windows,): each one's weight within its dataset."""
    table, each = dataset.table, np.ones(len(dataset.table.current))
    for number, source in enumerate(dataset.sources):
        inside = table.source == number
        if weights.episodes is not None:
            each[inside] *= _of_episodes(weights.episodes, number, source)[table.episode[inside]]
        if weights.steps is not None:
            of_rows = np.asarray(weights.steps(source.columns), np.float64)
            count = sum(row.length for row in source.rows)
            if of_rows.shape != (count,):
                raise ValueError(f"{source.reader.root}: weights of steps are {of_rows.shape}, of its rows ({count},)")
            each[inside] *= of_rows[table.current[inside]]
        _check_weights(source, table.episode[inside], table.current[inside] - table.low[inside], each[inside])
    return each


def _of_episodes(
    weights: Callable[[EpisodeRow], float] | Sequence[Sequence[float]], dataset: int, source: LoadedEpisodes
) -> NDArray[np.float64]:
    """(episodes,): weights of the chosen ones."""
    if callable(weights):
        return np.array([weights(row) for row in source.rows], np.float64)
    told, there = len(weights[dataset]), source.reader.num_episodes
    if told != there:
        raise ValueError(f"{source.reader.root} has {there} episodes, and weights of {told}: give one for each")
    return np.array([weights[dataset][row.index] for row in source.rows], np.float64)


def _check_weights(
    source: LoadedEpisodes, episodes: NDArray[np.int64], steps: NDArray[np.int64], weights: NDArray[np.float64]
) -> None:
    """Raises ValueError for a window that weighs something else than a number from 0 up."""
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0.0)))
    if len(wrong):
        first = wrong[0]
        raise ValueError(
            f"weights of {source.reader.root} are negative or not finite: {weights[first]} of episode "
            f"{source.rows[episodes[first]].index} at step {steps[first]}"
        )


def _cumulated(dataset: WindowDataset, weights: Weights) -> NDArray[np.float64]:
    """(windows,): each one's weight added to those before it."""
    if weights.datasets is not None and len(weights.datasets) != len(dataset.sources):
        raise ValueError(f"there are {len(dataset.sources)} datasets, and shares of {len(weights.datasets)}")
    if isinstance(weights.episodes, Sequence) and len(weights.episodes) != len(dataset.sources):
        raise ValueError(f"there are {len(dataset.sources)} datasets, and episodes' weights of {len(weights.episodes)}")
    each = _each(dataset, weights)
    if weights.datasets is not None:
        for number, source in enumerate(dataset.sources):
            inside = dataset.table.source == number
            each[inside] *= _share(weights.datasets[number], float(each[inside].sum()), str(source.reader.root))
    sums = np.cumsum(each)
    if not (len(sums) and 0.0 < sums[-1] < np.inf):
        roots = ", ".join(str(source.reader.root) for source in dataset.sources)
        total = f"sum to {sums[-1]:g}" if len(sums) and sums[-1] else "sum to zero"
        raise ValueError(f"the weights of all windows of {roots} {total}: nothing could be drawn")
    return sums


def _share(share: float, total: float, root: str) -> float:
    """What makes weights that sum to `total` sum to `share`."""
    if not (np.isfinite(share) and share >= 0.0):
        raise ValueError(f"the share of {root} is {share}: it must be finite and not negative")
    if share > 0.0 and total == 0.0:
        raise ValueError(f"the weights of {root} sum to zero, so it cannot have a share of {share:g}")
    return share / total if total else 0.0
