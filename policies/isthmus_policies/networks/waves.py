"""Fine differences made large: what a network sees of numbers beside themselves (Fourier features: Tancik et al. 2020;
in reinforcement learning Li & Pathak 2021). A perceptron alone learns what changes slowly with its inputs first, and
where an object has to lie within pixels, what it shall do changes fast."""

from __future__ import annotations

import torch
from torch import Tensor

OCTAVES = 4
"""Frequencies, each twice the one before. The first has a period of 2π deviations."""
PARTS = 2 * OCTAVES
"""Numbers that are added for each one."""


def waves(rows: Tensor) -> Tensor:
    """(n, size), scaled to a deviation of about 1 -> (n, PARTS * size)."""
    angles = torch.cat([rows * 2.0**octave for octave in range(OCTAVES)], dim=-1)
    return torch.cat((angles.sin(), angles.cos()), dim=-1)
