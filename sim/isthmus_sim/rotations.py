"""Quaternions: unit, Hamilton, (…, 4) wxyz; they turn body vectors into the world."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from isthmus_sim.on_device import Constant


def _bilinear(outputs: tuple[tuple[tuple[float, str], ...], ...], left: str, right: str) -> Constant:
    """(len(left)·len(right), len(outputs)): the matrix that takes products of elements to sums of such products."""
    matrix = torch.zeros(len(left), len(right), len(outputs))
    for column, terms in enumerate(outputs):
        for factor, (a, b) in terms:
            matrix[left.index(a), right.index(b), column] += factor
    return Constant(matrix.flatten(0, 1))


# Both are bilinear forms: one product and one small matrix product instead of some thirty operations, each of which
# costs its dispatch, far more than its arithmetic at the usual number of worlds.
_ROTATION = _bilinear(
    (
        ((1, "ww"), (1, "xx"), (-1, "yy"), (-1, "zz")), ((2, "xy"), (-2, "wz")), ((2, "xz"), (2, "wy")),
        ((2, "xy"), (2, "wz")), ((1, "ww"), (-1, "xx"), (1, "yy"), (-1, "zz")), ((2, "yz"), (-2, "wx")),
        ((2, "xz"), (-2, "wy")), ((2, "yz"), (2, "wx")), ((1, "ww"), (-1, "xx"), (-1, "yy"), (1, "zz")),
    ),
    "wxyz",
    "wxyz",
)  # fmt: skip
_TURN = _bilinear(
    (
        ((-1, "xX"), (-1, "yY"), (-1, "zZ")),
        ((1, "wX"), (1, "yZ"), (-1, "zY")),
        ((1, "wY"), (1, "zX"), (-1, "xZ")),
        ((1, "wZ"), (1, "xY"), (-1, "yX")),
    ),
    "wxyz",
    "XYZ",
)


def _products(a: Tensor, b: Tensor) -> Tensor:
    """(n, i) and (n, j) -> (n, i·j): every product of an element of a with one of b."""
    return (a.unsqueeze(-1) * b.unsqueeze(-2)).flatten(-2)


def rotation_matrix(q: Tensor) -> Tensor:
    """(n, 4) wxyz -> (n, 9): the rotation matrix world_from_body, row by row."""
    return _products(q, q) @ _ROTATION.to(q)


def turn_by(q: Tensor, rotation_vector: Tensor) -> Tensor:
    """Unit quaternions (n, 4) turned by small body-frame rotation vectors (n, 3) rad: first order, then normalised."""
    moved = q + _products(q, 0.5 * rotation_vector) @ _TURN.to(q)
    return moved / moved.norm(dim=-1, keepdim=True)


def to_world(matrix: Tensor, vector: Tensor) -> Tensor:
    """Body vectors (n, 3) in the world, given world_from_body (n, 9)."""
    return (matrix.unflatten(-1, (3, 3)) * vector.unsqueeze(-2)).sum(-1)


def to_body(matrix: Tensor, vector: Tensor) -> Tensor:
    """World vectors (n, 3) in the body, given world_from_body (n, 9)."""
    return (matrix.unflatten(-1, (3, 3)) * vector.unsqueeze(-1)).sum(-2)


def yaw_rotation(q: Tensor) -> Tensor:
    """(n, 4) wxyz -> (n, 2, 2): the turn from the heading of body x, seen from above, to the world."""
    forward = rotation_matrix(q)[:, 0:4:3]
    x, y = (forward / forward.norm(dim=-1, keepdim=True).clamp_min(1e-6)).unbind(-1)
    return torch.stack((torch.stack((x, -y), dim=-1), torch.stack((y, x), dim=-1)), dim=-2)


@functools.lru_cache
def _angle_table(max_angle: float, device: torch.device) -> tuple[Tensor, Tensor]:
    angles = torch.linspace(0, max_angle, 1025, device=device)
    return angles, angles - angles.sin()


def random_orientation(n: int, max_angle: float, generator: torch.Generator) -> Tensor:
    """(n, 4) wxyz: uniform over all orientations turned by at most `max_angle` rad from level.

    The angle of a uniform orientation has density 1 - cos θ (Shoemake 1992); its distribution θ - sin θ is inverted
    by table.
    """
    angles, distribution = _angle_table(max_angle, generator.device)
    u = distribution[-1] * torch.rand(n, generator=generator, device=generator.device)
    above = torch.searchsorted(distribution, u).clamp(1, len(angles) - 1)
    low, high = distribution[above - 1], distribution[above]
    share = (u - low) / (high - low).clamp_min(torch.finfo(u.dtype).tiny)  # max_angle 0: the table is flat
    half = 0.5 * torch.lerp(angles[above - 1], angles[above], share).unsqueeze(-1)
    axis = torch.randn(n, 3, generator=generator, device=generator.device)
    axis = axis / axis.norm(dim=-1, keepdim=True)
    return torch.cat((half.cos(), half.sin() * axis), dim=-1)


def tilt(q: Tensor) -> Tensor:
    """(n, 4) wxyz -> (n,): angle between body z and world z, rad in [0, π], whatever the length of q."""
    return 2 * (q[..., 1:3].norm(dim=-1) / q[..., 0:4:3].norm(dim=-1)).atan()  # exact near level, as acos is not
