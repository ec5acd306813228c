"""What happens to a raw reading between the sensor and the policy: noise, delay and dropped readings."""

from __future__ import annotations

import torch
from torch import Tensor

Signals = dict[str, Tensor]
"""Raw, robot-side readings of one control step: name -> (num_envs, size) float32, units and frames as in the `SignalSpec`."""


class DelayLine:
    """Delays rows by a whole number of control steps, a different number for each world.

    Until a world has seen `delay` steps since its reset, it repeats the first row it saw.
    """

    def __init__(self, num_envs: int, size: int, max_delay: int, device: torch.device | str = "cpu") -> None:
        self.history = torch.zeros(max_delay + 1, num_envs, size, device=device)
        self.delay = torch.zeros(num_envs, dtype=torch.long, device=device)
        self._rows = torch.arange(num_envs, device=device)
        self._newest = 0

    @property
    def max_delay(self) -> int:
        return self.history.shape[0] - 1

    def reset(self, ids: Tensor, first: Tensor, delay: Tensor) -> None:
        """Start worlds `ids` (n,) anew: `first` (n, size) fills the line; `delay` (n,) steps in [0, max_delay]."""
        self.history[:, ids] = first
        self.delay[ids] = delay

    def push(self, row: Tensor, dropped: Tensor | None = None) -> Tensor:
        """Take the newest (num_envs, size) and return the delayed one; a `dropped` (num_envs,) row repeats its predecessor."""
        if dropped is not None:
            row = torch.where(dropped[:, None], self.history[self._newest], row)
        if self.max_delay == 0:
            self.history[0] = row
            return row
        self._newest = (self._newest + 1) % self.history.shape[0]
        self.history[self._newest] = row
        return self.history[(self._newest - self.delay) % self.history.shape[0], self._rows]

    def state_dict(self) -> dict[str, Tensor]:
        return {"history": self.history, "delay": self.delay, "newest": torch.tensor(self._newest)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.history.copy_(state["history"])
        self.delay.copy_(state["delay"])
        self._newest = int(state["newest"])


def rotation_noise(orientation: Tensor, rotation_vector: Tensor) -> Tensor:
    """Turn unit quaternions (n, 4) wxyz by small body-frame rotation vectors (n, 3) rad (first order, then normalised)."""
    w, x, y, z = orientation.unbind(-1)
    a, b, c = (0.5 * rotation_vector).unbind(-1)
    turned = torch.stack(
        (w - a * x - b * y - c * z, x + a * w + c * y - b * z, y + b * w + a * z - c * x, z + c * w + b * x - a * y), dim=-1
    )
    return turned / turned.norm(dim=-1, keepdim=True)
