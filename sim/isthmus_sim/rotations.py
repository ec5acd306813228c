"""Quaternions: unit, Hamilton, (…, 4) wxyz; they turn body vectors into the world."""

from __future__ import annotations

import torch
from torch import Tensor


def rotation_matrix(q: Tensor) -> Tensor:
    """(n, 4) wxyz -> (n, 9): the rotation matrix world_from_body, row by row."""
    w, x, y, z = q.unbind(-1)
    return torch.stack(
        (
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ),
        dim=-1,
    )  # fmt: skip


def to_world(matrix: Tensor, vector: Tensor) -> Tensor:
    """Body vectors (n, 3) in the world, given world_from_body (n, 9)."""
    return (matrix.unflatten(-1, (3, 3)) * vector.unsqueeze(-2)).sum(-1)


def to_body(matrix: Tensor, vector: Tensor) -> Tensor:
    """World vectors (n, 3) in the body, given world_from_body (n, 9)."""
    return (matrix.unflatten(-1, (3, 3)) * vector.unsqueeze(-1)).sum(-2)


def random_orientation(n: int, max_angle: float, generator: torch.Generator) -> Tensor:
    """(n, 4) wxyz: uniform over all orientations turned by at most `max_angle` rad from level.

    The angle of a uniform orientation has density 1 - cos θ (Shoemake 1992); its distribution θ - sin θ is inverted
    by table.
    """
    angles = torch.linspace(0, max_angle, 1025, device=generator.device)
    distribution = angles - angles.sin()
    u = distribution[-1] * torch.rand(n, generator=generator, device=generator.device)
    above = torch.searchsorted(distribution, u).clamp(1, len(angles) - 1)
    low, high = distribution[above - 1], distribution[above]
    share = (u - low) / (high - low).clamp_min(torch.finfo(u.dtype).tiny)  # max_angle 0: the table is flat
    half = 0.5 * torch.lerp(angles[above - 1], angles[above], share).unsqueeze(-1)
    axis = torch.randn(n, 3, generator=generator, device=generator.device)
    axis = axis / axis.norm(dim=-1, keepdim=True)
    return torch.cat((half.cos(), half.sin() * axis), dim=-1)


def tilt(q: Tensor) -> Tensor:
    """(n, 4) wxyz -> (n,): angle between body z and world z, rad in [0, π]."""
    up = 1 - 2 * (q[..., 1].square() + q[..., 2].square())
    return up.clamp(-1, 1).acos()
