"""Constants of tasks, wherever the worlds are."""

from __future__ import annotations

import torch
from torch import Tensor


class Constant:
    """A tensor to be had on any device. It is copied there once: a copy waits for all that a GPU still has to do."""

    def __init__(self, value: Tensor) -> None:
        self._copies = {(value.device, value.dtype): value}
        self._value = value

    def to(self, like: Tensor) -> Tensor:
        """On the device of `like` and with its type of numbers."""
        key: tuple[torch.device, torch.dtype] = (like.device, like.dtype)
        if key not in self._copies:
            self._copies[key] = self._value.to(like)
        return self._copies[key]
