"""What a scorer is: it says which of several chunks for the same observation is the better one."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from isthmus_policies.chunks.chunk_policy import Tensors


class Scorer(Protocol):
    """Observations and chunks -> numbers, higher is better. Only scores for the same observation can be compared."""

    def __call__(self, observations: Tensors, chunks: Tensor) -> Tensor:
        """(n,) scores.

        Args:
            observations: Column -> (n, observed, size) and camera -> (n, observed, 3, H, W) uint8, as a `ChunkPolicy`
                has them.
            chunks: (n, horizon, action_size) in the dataset's unit.
        """
        ...
