"""Running normalisation: exact moments, and nothing blown up that training never saw move."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isthmus_policies.networks.normalizer import MAX_DEVIATIONS, MAX_SCALE, RunningNormalizer, moments


def shown(*batches: torch.Tensor) -> RunningNormalizer:
    """A normaliser that has seen these rows."""
    normalizer = RunningNormalizer(batches[0].shape[1])
    for rows in batches:
        mean, variance = moments(rows)
        normalizer.merge(mean, variance, len(rows))
    return normalizer


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    offset=st.floats(-1000, 1000),
    spread=st.floats(0.01, 100),
    seed=st.integers(0, 2**31),
)
def test_mean_and_variance_are_those_of_everything_shown(sizes: list[int], offset: float, spread: float, seed: int):
    """However it was cut into batches: numpy over all rows, in float64, agrees."""
    generator = np.random.default_rng(seed)
    batches = [(offset + spread * generator.standard_normal((n, 2))).astype(np.float32) for n in sizes]
    normalizer = shown(*map(torch.from_numpy, batches))
    rows = np.concatenate(batches).astype(np.float64)
    resolution = 1e-6 * (abs(offset) + spread)
    np.testing.assert_allclose(normalizer.mean, rows.mean(0), rtol=0, atol=4 * resolution)
    np.testing.assert_allclose(normalizer.variance, rows.var(0), rtol=1e-4, atol=100 * resolution * spread)
    assert int(normalizer.count) == len(rows)


def test_what_was_shown_comes_out_with_mean_zero_and_variance_one():
    rows = 3.0 + 2.0 * torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(RunningNormalizer(2)(rows), rows), "nothing seen, nothing changed"
    normalizer = shown(rows)
    normal = normalizer(rows)
    torch.testing.assert_close(normal.mean(0), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(normal.var(0, correction=0), torch.ones(2), rtol=1e-5, atol=0)
    torch.testing.assert_close(normalizer.inverse(normal), rows)


@pytest.mark.parametrize("constant", [0.0, 0.3, -7.1, 1000.1, 1e6 / 3, 1e-5])
@pytest.mark.parametrize("batches", [1, 7])
def test_what_was_constant_is_only_centred(constant: float, batches: int):
    """A command that training held at 0.3 moves by 0.1 on the robot: the network sees 0.1, not 1000. What float32
    rounds in mean and variance of a large constant is no movement."""
    normalizer = shown(*[torch.full((5000, 1), constant)] * batches)
    assert float(normalizer.scale) == 1.0
    moved = torch.tensor([[constant + 0.1]])
    torch.testing.assert_close(normalizer(moved), torch.tensor([[0.1]]), rtol=0, atol=1e-4 + 1e-5 * abs(constant))
    torch.testing.assert_close(normalizer.inverse(normalizer(moved)), moved)


def test_what_hardly_moved_is_not_blown_up():
    """1e-7 of a simulator's rounding around zero is constant; 1e-5 is scaled, but by no more than the bound."""
    noise = torch.randn(5000, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-7, 1e-5])
    normalizer = shown(noise)
    assert normalizer.scale.tolist() == [1.0, MAX_SCALE]
    assert normalizer(torch.tensor([[0.1, -0.1]])).tolist()[0][1] == -MAX_DEVIATIONS, "it moves after all"


def test_small_units_are_scaled_like_others():
    """The inertia of a 27 g quadrotor in kg·m², and the torque that disturbs it in N·m: their deviation becomes 1."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(5000, 2, generator=generator) * torch.tensor([3e-4, 0.02]) + torch.tensor([1e-3, 5.0])
    torch.testing.assert_close(shown(rows)(rows).std(0), torch.ones(2), rtol=1e-3, atol=0)


def test_an_input_that_begins_to_move_is_scaled_from_then_on():
    normalizer = shown(torch.full((1000, 1), 2.0))
    assert float(normalizer.scale) == 1.0
    mean, variance = moments(torch.tensor([[1.0], [3.0]]))
    normalizer.merge(mean, variance, 2)
    assert float(normalizer.scale) == pytest.approx((2 * 1.0 / 1002) ** -0.5)


def test_applying_it_changes_nothing():
    normalizer = shown(torch.randn(10, 2, generator=torch.Generator().manual_seed(0)))
    before = {name: value.clone() for name, value in normalizer.state_dict().items()}
    normalizer.train()
    normalizer(torch.full((10, 2), 100.0))
    assert all(torch.equal(value, before[name]) for name, value in normalizer.state_dict().items())
