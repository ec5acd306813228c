"""When an episode has failed: (n,) bool each, true also where the state is not a number.

What the robot's own signals tell too has a margin, one formula for training and for the robot (`Condition`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_sim.engine import State
from isthmus_sim.rotations import tilt
from isthmus_sim.task import Condition, Phase


def tilt_margin(orientation: Tensor, limit: float) -> Tensor:
    """(n,) rad: by how much further a body with `orientation` (n, 4) may lean until it leans by `limit` rad."""
    return limit - tilt(orientation)


def tilted(state: State, limit: float) -> Tensor:
    """The base leans by more than `limit` rad."""
    return ~(tilt_margin(state["orientation"], limit) >= 0)


def upright(orientation: str, limit: float, holds: tuple[Phase, ...] = ("standby", "driven")) -> Condition:
    """The condition that the body of the signal `orientation` leans by at most `limit` rad."""
    return Condition(
        margin=lambda signals: tilt_margin(signals[orientation], limit),
        unit="rad",
        description=f"leans by at most {limit:.3g} rad",
        holds=holds,
    )


def low(height: Tensor, limit: float) -> Tensor:
    """The base is lower over the ground (n,) than `limit` m."""
    return ~(height > limit)


def not_finite(*values: Tensor) -> Tensor:
    """Something in rows (n, k) is no number."""
    return ~torch.isfinite(torch.cat(values, dim=-1).sum(-1))
