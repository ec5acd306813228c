"""How rotor speed follows its set-point: a first-order lag with different time constants rising and falling."""

from __future__ import annotations

import torch
from torch import Tensor


def lag_weight(time_constant: Tensor, dt: float | Tensor) -> Tensor:
    """Share of the gap to the set-point closed within dt (s): 1 - exp(-dt/τ), the exact solution of the lag."""
    return -torch.expm1(-dt / time_constant)


def follow(speed: Tensor, set_point: Tensor, rising: Tensor, falling: Tensor) -> Tensor:
    """Rotor speeds (rad/s) after the time that `rising` and `falling`, from `lag_weight`, stand for; shapes
    broadcast."""
    gap = set_point - speed
    return torch.addcmul(speed, gap, torch.where(gap > 0, rising, falling))
