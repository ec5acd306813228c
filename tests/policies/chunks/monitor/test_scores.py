"""A policy that might do anything has a high entropy."""

from __future__ import annotations

import math

import pytest
import torch

from isthmus_policies.chunks.monitor.scores import chunk_entropy


def test_entropy_is_that_of_a_gaussian_for_each_number():
    chunks = torch.randn(2, 20_000, 3, 2, generator=torch.Generator().manual_seed(0))
    chunks[1] *= 0.5
    exact = math.log(2 * math.pi * math.e) + torch.tensor([0.0, 2 * math.log(0.5)])
    torch.testing.assert_close(chunk_entropy(chunks), exact, rtol=0, atol=0.03)


def test_entropy_by_hand():
    """Two chunks, one step, one number each, 0 and 0.2: variance 0.02 (over n - 1), and the floor's 0.0001."""
    chunks = torch.tensor([0.0, 0.2]).reshape(1, 2, 1, 1)
    assert float(chunk_entropy(chunks)) == pytest.approx(0.5 * math.log(2 * math.pi * math.e * 0.0201), abs=1e-5)


def test_two_ways_are_more_than_one_and_agreement_is_finite():
    one = torch.zeros(1, 8, 4, 20)
    two = one + torch.tensor([0.7, -0.7]).repeat(4).reshape(1, 8, 1, 1)
    assert torch.isfinite(chunk_entropy(one)).all()
    assert chunk_entropy(two) > chunk_entropy(one) + 1.0
