"""What draws levels: points of the box that a task declares, as shares from 0 to 1 along each of its sides."""

from __future__ import annotations

import torch
from torch import Tensor


class LevelSampler:
    """Draws evenly, whatever comes of it. Others learn from how episodes went.

    Levels are (n, d) float32 from 0 to 1; everything random comes from the Env's generator.
    """

    def draw(self, n: int, size: int, generator: torch.Generator) -> Tensor:
        """Levels (n, size) of the next episodes."""
        return torch.rand(n, size, generator=generator, device=generator.device)

    def tell(self, levels: Tensor, returns: Tensor, failed: Tensor, generator: torch.Generator) -> None:
        """Episodes at `levels` (k, d) have ended with these sums of rewards, (k,); `failed` (k,) bool: those that did
        not do what there was to do."""

    def state_dict(self) -> dict[str, Tensor]:
        """What going on bit for bit needs."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_dict` gave."""
