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
        """The value on the device of `like` and with its type of numbers."""
        return self._copy(like.device, like.dtype)

    def on(self, like: Tensor) -> Tensor:
        """The value on the device of `like`, with its own type of numbers: an index, say."""
        return self._copy(like.device, self._value.dtype)

    def _copy(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        if (device, dtype) not in self._copies:
            self._copies[device, dtype] = self._value.to(device, dtype)
        return self._copies[device, dtype]
