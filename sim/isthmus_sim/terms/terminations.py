"""When an episode has failed: (n,) bool each, true also where the state is not a number."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from isthmus_sim.engine import State


def tilted(state: State, limit: float) -> Tensor:
    """The base leans by more than `limit` rad."""
    up = 1 - 2 * state["orientation"][:, 1:3].square().sum(-1)
    return ~(up > math.cos(limit))


def low(height: Tensor, limit: float) -> Tensor:
    """The base is lower over the ground (n,) than `limit` m."""
    return ~(height > limit)


def not_finite(*values: Tensor) -> Tensor:
    """Something in rows (n, k) is no number."""
    return ~torch.isfinite(torch.cat(values, dim=-1).sum(-1))
