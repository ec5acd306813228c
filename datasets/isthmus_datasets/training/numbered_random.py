"""Random numbers by their place in a stream: any stretch is had without what comes before it, and needs no generator,
whose setting up takes as long as gathering a batch of states. So each window of a batch has a stream of its own.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_STEP = np.uint64(0x9E3779B97F4A7C15)
_BITS = np.float64(2.0**-53)
_CHANGES = np.uint64(0xD6E8FEB86659FD93)  # apart from the stream that goals are drawn from


class WindowRandom:
    """What is drawn for the images of each of B windows: of each from its own draw, whatever is beside it.

    Args:
        draws: (B,) integers.
    """

    def __init__(self, draws: NDArray[np.int64]) -> None:
        self._starts, self._place = mixed(draws.astype(np.uint64) ^ _CHANGES)[:, None], 0

    def uniform(self, count: int) -> Tensor:
        """(B, count) float32 in [0, 1): each window's next numbers."""
        places = np.arange(self._place, self._place + count, dtype=np.uint64)
        self._place += count
        numbers = mixed(self._starts + _STEP * places) >> np.uint64(40)  # 24 bits, all that a float32 holds
        return torch.from_numpy(numbers.astype(np.float32) * np.float32(2.0**-24))


def streams(seeds: list[int], count: int) -> list[NDArray[np.uint64]]:
    """Where `count` independent streams start that follow from the seeds, each (1,)."""
    starts = np.asarray(np.random.SeedSequence(seeds).generate_state(count, np.uint64), np.uint64)
    return np.split(starts, count)


def stretch(start: NDArray[np.uint64], place: int, count: int) -> NDArray[np.uint64]:
    """(count,) numbers of a stream from that place on: SplitMix64 (Steele et al. 2014), whose state is a counter."""
    return mixed(start + _STEP * np.arange(place, place + count, dtype=np.uint64))


def mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's number after each state."""
    z = state + _STEP
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(numbers: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers as uniform ones in [0, 1)."""
    return _BITS * (numbers >> np.uint64(11)).astype(np.float64)
