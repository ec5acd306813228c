"""Where episodes start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.tools.scan.dataset_scan import OBSERVED, DatasetScan

Numbers = NDArray[np.float64]

BINS = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Starts:
    """Where episodes start: E episodes, C channels.

    Args:
        names: (C,) of the channels.
        values: (E, C).
        low, high: (C,) what the channel reaches in 98 of 100 steps of all episodes.
    """

    names: list[str]
    values: Numbers
    low: Numbers
    high: Numbers

    @property
    def covered(self) -> Numbers:
        """(C,) share of the channel's range, cut into `BINS`, in which an episode starts."""
        span = np.where(self.high > self.low, self.high - self.low, 1.0)
        bins = np.clip((self.values - self.low) / span * BINS, 0, BINS - 1).astype(int)
        return np.array([len(np.unique(column)) / BINS for column in bins.T])

    def map(self) -> tuple[Numbers, float]:
        """Along the two directions in which starts differ most (E, 2), and the share of their variance in these."""
        varied = self.values[:, self.values.std(axis=0) > 0]
        if varied.shape[1] < 2 or len(varied) < 3:
            return np.empty((0, 2)), 0.0
        scaled = (varied - varied.mean(axis=0)) / varied.std(axis=0)
        _, strength, directions = np.linalg.svd(scaled, full_matrices=False)
        return scaled @ directions[:2].T, float((strength[:2] ** 2).sum() / (strength**2).sum())


def starts(scan: DatasetScan, limit: int) -> Starts | None:
    """Starts of the state, in `limit` channels at most that ever change; None where no observation is numbers."""
    names, firsts, lows, highs = [], [], [], []
    states = scan.numbers(*OBSERVED)
    for name in [name for name in states if name == "observation.state"] or states:
        everything = scan.all_of(name)
        if not len(everything):
            continue
        begin = np.array([values[0] for _, values in scan.of(name)], float)
        low, high = np.quantile(everything, [0.01, 0.99], axis=0)
        for channel in np.flatnonzero(np.ptp(everything, axis=0) > 0):
            names.append(scan.channel(name, int(channel)))
            firsts.append(begin[:, channel])
            lows.append(low[channel])
            highs.append(high[channel])
    if not names or len({len(first) for first in firsts}) > 1:
        return None
    kept = slice(0, limit)
    return Starts(
        names=names[kept], values=np.stack(firsts[kept], axis=1), low=np.array(lows[kept]), high=np.array(highs[kept])
    )
