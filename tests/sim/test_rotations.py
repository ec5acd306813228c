"""Quaternions are wxyz and turn body vectors into the world."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isthmus_sim.rotations import (
    random_orientation,
    rotation_matrix,
    tilt,
    to_body,
    to_world,
    turn_by,
    yaw_rotation,
)

HALF = math.sqrt(0.5)
numbers = st.floats(-1, 1, allow_subnormal=False)
quaternions = (
    st.tuples(numbers, numbers, numbers, numbers)
    .filter(lambda q: sum(x * x for x in q) > 0.01)
    .map(lambda q: torch.nn.functional.normalize(torch.tensor([q], dtype=torch.float64)))
)
vectors = st.tuples(*[st.floats(-100, 100)] * 3).map(lambda v: torch.tensor([v], dtype=torch.float64))


@given(quaternions)
def test_the_matrix_is_a_rotation(q: torch.Tensor):
    matrix = rotation_matrix(q).reshape(3, 3)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-12)
    assert float(torch.linalg.det(matrix)) == pytest.approx(1.0)


@given(quaternions, vectors)
def test_there_and_back(q: torch.Tensor, v: torch.Tensor):
    matrix = rotation_matrix(q)
    torch.testing.assert_close(to_body(matrix, to_world(matrix, v)), v, rtol=0, atol=1e-10)
    torch.testing.assert_close(to_world(matrix, to_body(matrix, v)), v, rtol=0, atol=1e-10)


@given(quaternions, vectors)
def test_the_matrix_turns_as_the_quaternion_does(q: torch.Tensor, v: torch.Tensor):
    """q ⊗ (0, v) ⊗ q*, written with vectors: v + 2w(u × v) + 2u × (u × v)."""
    w, u = q[:, :1], q[:, 1:]
    cross = torch.linalg.cross(u, v)
    expected = v + 2 * w * cross + 2 * torch.linalg.cross(u, cross)
    torch.testing.assert_close(to_world(rotation_matrix(q), v), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("q", "turned"),
    [
        # 90° of yaw takes body x (forward) to world y (left). Read as xyzw it would be a roll, and x would stay.
        ((HALF, 0.0, 0.0, HALF), ((0, 1, 0), (-1, 0, 0), (0, 0, 1))),
        # 90° of roll takes body y to world z.
        ((HALF, HALF, 0.0, 0.0), ((1, 0, 0), (0, 0, 1), (0, -1, 0))),
        # 90° of pitch takes body x to world -z: nose down.
        ((HALF, 0.0, HALF, 0.0), ((0, 0, -1), (0, 1, 0), (1, 0, 0))),
    ],
)
def test_quarter_turns(q: tuple[float, ...], turned: tuple[tuple[int, ...], ...]):
    matrix = rotation_matrix(torch.tensor([q])).expand(3, -1)
    torch.testing.assert_close(to_world(matrix, torch.eye(3)), torch.tensor(turned, dtype=torch.float32))


def test_the_matrix_is_laid_out_row_by_row():
    yaw = rotation_matrix(torch.tensor([[HALF, 0.0, 0.0, HALF]]))
    torch.testing.assert_close(yaw, torch.tensor([[0.0, -1, 0, 1, 0, 0, 0, 0, 1]]))


def test_tilt():
    q = torch.tensor(
        [
            [1.0, 0.0, 0.0, 0.0],
            [HALF, 0.0, 0.0, HALF],
            [HALF, HALF, 0.0, 0.0],
            [0.0, 0.0, 1.0, 0.0],
            [math.cos(0.15), 0.0, -math.sin(0.15), 0.0],
        ]
    )
    torch.testing.assert_close(tilt(q), torch.tensor([0.0, 0.0, math.pi / 2, math.pi, 0.3]), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("limit", "mean"),
    [
        # ∫θ(1 - cos θ) / ∫(1 - cos θ) over [0, a] = (a²/2 - a·sin a - cos a + 1) / (a - sin a)
        (math.pi / 2, 1.16151),
        (math.pi, 2.20739),
    ],
)
def test_random_orientations_are_uniform_up_to_their_limit(limit: float, mean: float):
    q = random_orientation(40_000, limit, torch.Generator().manual_seed(0))
    angle = 2 * q[:, 0].clamp(-1, 1).acos()
    assert float((q.norm(dim=-1) - 1).abs().max()) < 1e-5
    assert float(angle.max()) <= limit + 1e-3
    assert float(angle.mean()) == pytest.approx(mean, abs=4 * float(angle.std()) / 200)
    axis = q[:, 1:] / q[:, 1:].norm(dim=-1, keepdim=True)
    assert float(axis.mean(0).abs().max()) < 4 * math.sqrt(1 / 3) / 200, "no direction is preferred"


def test_no_limit_angle_means_level():
    q = random_orientation(10, 0.0, torch.Generator().manual_seed(0))
    assert torch.isfinite(q).all()
    torch.testing.assert_close(q[:, 0].abs(), torch.ones(10))


@given(quaternions, st.integers(0, 2**31))
def test_a_small_turn_stays_a_rotation(q: torch.Tensor, seed: int):
    turn = torch.randn(1, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert float(turn_by(q, turn).norm()) == pytest.approx(1.0)


def test_a_small_turn_turns_in_the_body_frame():
    """A small turn about body x of a body that is yawed by 90° tilts its z axis towards -y of the body: world +x."""
    turned = turn_by(torch.tensor([[HALF, 0.0, 0.0, HALF]]), torch.tensor([[0.01, 0.0, 0.0]]))
    up = to_world(rotation_matrix(turned), torch.tensor([[0.0, 0.0, 1.0]]))
    torch.testing.assert_close(up, torch.tensor([[0.01, 0.0, 1.0]]), rtol=0, atol=1e-4)


def test_a_small_turn_moves_the_matrix_by_the_stated_share():
    """σ about each axis moves the nine entries by √(2/3)·σ in the root mean square, in any attitude."""
    generator = torch.Generator().manual_seed(0)
    q = random_orientation(20_000, math.pi, generator)
    noisy = turn_by(q, 0.01 * torch.randn(20_000, 3, generator=generator))
    rms = (rotation_matrix(noisy) - rotation_matrix(q)).square().mean().sqrt()
    assert float(rms) == pytest.approx(0.01 * math.sqrt(2 / 3), rel=0.02)


# Heading
# ---------------------------------------------------------------------------------------------------------------------
@given(quaternions)
def test_the_heading_is_where_body_x_points_seen_from_above(q: torch.Tensor):
    found = yaw_rotation(q)[0]
    forward = rotation_matrix(q).reshape(3, 3)[:2, 0]
    if float(forward.norm()) < 1e-3:
        return  # straight up or down there is no heading
    torch.testing.assert_close(found @ found.T, torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-9)
    assert float(torch.linalg.det(found)) == pytest.approx(1.0)
    torch.testing.assert_close(found[:, 0], forward / forward.norm(), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("q", "left"),
    [
        ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0)),
        ((HALF, 0.0, 0.0, HALF), (-1.0, 0.0)),  # a quarter turn to the left: left is backwards in the world
        ((0.0, 0.0, 0.0, 1.0), (0.0, -1.0)),
        ((math.cos(0.3), 0.0, math.sin(0.3), 0.0), (0.0, 1.0)),  # pitch is no heading
        ((math.cos(0.3), math.sin(0.3), 0.0, 0.0), (0.0, 1.0)),  # nor is roll
    ],
)
def test_headings_by_hand(q: tuple[float, ...], left: tuple[float, ...]):
    found = yaw_rotation(torch.tensor([q])) @ torch.tensor([0.0, 1.0])
    torch.testing.assert_close(found, torch.tensor([left]), rtol=0, atol=1e-6)


def test_without_a_heading_there_is_still_a_number():
    """Nose straight up."""
    assert torch.isfinite(yaw_rotation(torch.tensor([[HALF, 0.0, -HALF, 0.0]]))).all()
