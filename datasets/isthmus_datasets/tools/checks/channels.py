"""Whether every channel of actions and observations carries something that can be learnt from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.tools.scan.dataset_scan import OBSERVED, DatasetScan
from isthmus_datasets.tools.scan.finding import Finding

SAME = 1e-6  # of a channel's largest value, or of its range: float32 has 7 digits
ALMOST_ALL = 0.9
FEW_EPISODES = 10


def finite(scan: DatasetScan) -> Iterator[Finding]:
    """No number is NaN or infinite."""
    for name in scan.numbers(""):
        for episode, values in scan.of(name):
            bad = ~np.isfinite(values)
            if bad.any():
                step, channel = map(int, np.argwhere(bad)[0])
                where = f"{scan.channel(name, channel)} is {values[step, channel]} at step {step}"
                yield Finding(
                    severity="error",
                    check="finite",
                    episode=episode.index,
                    message=f"{where}; {bad.any(axis=1).sum()} of {len(bad)} steps have such",
                    fix="cut or delete the episode, and look for the sensor or division that gave it",
                )


def constant(scan: DatasetScan) -> Iterator[Finding]:
    """No channel of an action or observation stays the same throughout, or dies in an episode where others move it."""
    found = {name: spread for name in [*scan.actions(), *scan.numbers(*OBSERVED)] if (spread := _spread(scan, name))}
    if found and all(spread.everywhere.all() for spread in found.values()):
        yield Finding(
            severity="error",
            check="constant",
            message=f"no channel of {', '.join(found)} ever changes",
            fix="look whether the robot was on, and whether its readings reached the recorder: nothing can be learnt",
        )
        return
    for name, spread in found.items():
        yield from _constant(scan, name, spread)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Spread:
    """How a column's channels change: `low` and `still` (E, channels) in each episode, `everywhere` (channels,) whether
    they stay the same in all of them."""

    episodes: list[int]
    low: NDArray[Any]
    still: NDArray[np.bool_]
    everywhere: NDArray[np.bool_]


def _spread(scan: DatasetScan, name: str) -> _Spread | None:
    """The column's spread in the episodes in which all is finite; None where there is none."""
    extremes = {
        episode.index: (values.min(axis=0), values.max(axis=0))
        for episode, values in scan.of(name)
        if np.isfinite(values).all()
    }
    if not extremes:
        return None
    low, high = (np.array(part) for part in zip(*extremes.values(), strict=True))
    largest = np.maximum(np.abs(low), np.abs(high))
    same = high.max(axis=0) - low.min(axis=0) <= SAME * largest.max(axis=0)
    long = any(episode.rows > 1 for episode, _ in scan.of(name))
    return _Spread(episodes=list(extremes), low=low, still=high - low <= SAME * largest, everywhere=same & long)


def _constant(scan: DatasetScan, name: str, spread: _Spread) -> Iterator[Finding]:
    low, still = spread.low, spread.still
    for channel in np.flatnonzero(spread.everywhere):
        yield Finding(
            severity="warning" if len(still) > 1 else "note",  # a thing that nobody touched in one episode
            check="constant",
            message=f"{scan.channel(name, channel)} is {low[0, channel]:.6g} in every row",
            fix="leave the channel out, or mend its sensor: nothing can be learnt from it, and its spread is zero",
        )
    dead = still & (still.mean(axis=0) <= 1 - ALMOST_ALL) & (len(still) >= FEW_EPISODES)
    for row, channel in np.argwhere(dead):
        yield Finding(
            severity="warning",
            check="constant",
            episode=spread.episodes[row],
            message=f"{scan.channel(name, channel)} is {low[row, channel]:.6g} throughout; it changes in"
            f" {1 - still[:, channel].mean():.0%} of the episodes",
            fix="look whether its sensor or cable failed; delete the episode",
        )
