"""Whether an episode is one: a world that begins anew inside it has jumped."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.tools.scan.dataset_scan import OBSERVED, DatasetScan
from isthmus_datasets.tools.scan.finding import Finding

FAST = 0.95  # quantile of a channel's steps: a jump is far beyond it
TIMES = 10.0  # as far as that
FAR = 0.1  # and so much of the channel's range
SHARE, FEWEST = 1 / 3, 2  # of the channels that ever move jump at once
TURNS = (2 * math.pi, 360.0)
SAME_TURN = 0.05  # of a turn


def jumps(scan: DatasetScan) -> Iterator[Finding]:
    """Observations go on from one step to the next; angles may wrap and quaternions change their sign."""
    for name in scan.numbers(*OBSERVED):
        span = scan.span(name)
        moves = np.flatnonzero(np.isfinite(span) & (span > 0))
        steps = {e.index: np.abs(np.diff(v[:, moves].astype(float), axis=0)) for e, v in scan.of(name)}
        if len(moves) < FEWEST or not any(map(len, steps.values())):
            continue
        usual = np.nanquantile(np.concatenate(list(steps.values())), FAST, axis=0)
        least = np.maximum(TIMES * usual, FAR * span[moves])
        for episode, values in scan.of(name):
            far = (steps[episode.index] > least) & ~_same(values[:, moves])
            found = np.flatnonzero(far.sum(axis=1) >= max(FEWEST, SHARE * len(moves)))
            if len(found):
                yield _finding(scan, name, episode.index, found, far[found[0]].sum())


def _same(values: NDArray[Any]) -> NDArray[np.bool_]:
    """(T, C) -> (T - 1, C): whether a channel says the same in other words, a turn further or with the other sign."""
    step = np.abs(np.diff(values, axis=0))
    turned = [np.abs(step - turn) < SAME_TURN * turn for turn in TURNS]
    flipped = np.abs(values[1:] + values[:-1]) < 0.1 * step
    return np.any([*turned, flipped], axis=0)


def _finding(scan: DatasetScan, name: str, episode: int, found: NDArray[np.int64], channels: int) -> Finding:
    more = f", and {len(found) - 1} times more" if len(found) > 1 else ""
    return Finding(
        severity="warning",
        check="jumps",
        episode=episode,
        message=f"{channels} channels of {name} jump at once from step {found[0]} to {found[0] + 1}{more}",
        fix="look whether a simulator began anew there, or two episodes became one: split it there, or delete it",
    )
