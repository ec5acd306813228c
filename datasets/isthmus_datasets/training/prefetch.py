"""Batches, made while the learner works on the one before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus_datasets.training.dataset import Batch, WindowDataset
from isthmus_datasets.training.sampler import WindowSampler


class Prefetch:
    """An epoch of batches, some of them made ahead by threads. Gathering images is copying, which frees the
    interpreter, so that threads do what processes would, without copies between these. Windows of a few numbers are
    made faster than they are handed from thread to thread: for those, no threads.

    `state_dict` tells of the batches that were given out, not of those made ahead.

    Args:
        dataset: Whose windows.
        sampler: Which, in which order.
        ahead: How many batches are made ahead.
        threads: How many make them; 0: each batch is made when it is asked for.
        pin_memory: Whether batches lie in memory that a GPU can fetch from; None for where there is CUDA.
    """

    def __init__(
        self,
        dataset: WindowDataset,
        sampler: WindowSampler,
        *,
        ahead: int = 2,
        threads: int = 1,
        pin_memory: bool | None = None,
    ) -> None:
        if ahead < 1 or threads < 0:
            raise ValueError(f"{ahead} batches ahead by {threads} threads: there must be at least 1 and 0")
        self._dataset, self._sampler, self._ahead, self._threads = dataset, sampler, ahead, threads
        self._pin = torch.cuda.is_available() if pin_memory is None else pin_memory
        self._state = sampler.state_dict()

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self._sampler)

    def __iter__(self) -> Iterator[Batch]:
        self._sampler.load_state_dict(self._state)  # what was made ahead and never taken is made again
        yield from self._made_ahead() if self._threads else self._made_now()

    def _made_now(self) -> Iterator[Batch]:
        for drawn in self._sampler:
            batch = self._make(drawn)
            self._state = self._sampler.state_dict()
            yield batch

    def _made_ahead(self) -> Iterator[Batch]:
        waiting: deque[tuple[Future[Batch], dict[str, Any]]] = deque()
        pool = ThreadPoolExecutor(self._threads)
        try:
            for drawn in self._sampler:
                waiting.append((pool.submit(self._make, drawn), self._sampler.state_dict()))
                if len(waiting) > self._ahead:
                    yield self._taken(waiting)
            while waiting:
                yield self._taken(waiting)
        finally:
            pool.shutdown(cancel_futures=True)

    def _taken(self, waiting: deque[tuple[Future[Batch], dict[str, Any]]]) -> Batch:
        made, state = waiting.popleft()
        batch = made.result()
        self._state = state
        return batch

    def _make(self, drawn: NDArray[np.int64]) -> Batch:
        batch = self._dataset.batch(*drawn.T)
        return {name: values.pin_memory() for name, values in batch.items()} if self._pin else batch

    def state_dict(self) -> dict[str, Any]:
        """Where it is, behind the last batch that was given out, as JSON values."""
        return self._state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there. Raises ValueError as `WindowSampler.load_state_dict`."""
        self._sampler.load_state_dict(state)
        self._state = dict(state)
