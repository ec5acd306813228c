"""What is far from the data or undecided is told, and what is not, is not: as often as was asked for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from isthmus_policies.chunks.steering.monitor import Novelty, Threshold, chunk_entropy

SHARE = 0.1


def embeddings(n: int, seed: int) -> Tensor:
    """(n, 6): with correlations, of very different sizes, and one of them always the same."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(n, 5, generator=generator) * torch.tensor([10.0, 1.0, 1.0, 0.1, 0.01])
    drawn[:, 1] += 0.5 * drawn[:, 0]
    return torch.cat((drawn, torch.full((n, 1), 3.0)), dim=1)


def test_false_alarms_are_as_rare_as_asked_for_and_what_is_far_is_told():
    novelty = Novelty.fit(embeddings(500, 0))
    threshold = Threshold.fit(novelty(embeddings(300, 1)), SHARE)
    inside = embeddings(5000, 2)
    assert 0.04 < threshold.exceeded(novelty(inside)).float().mean() < 0.16
    aside = torch.zeros(6)
    aside[1] = 8.0  # within the range of that feature, but not beside the others
    assert threshold.exceeded(novelty(inside + aside)).float().mean() > 0.9
    unseen = torch.zeros(6)
    unseen[5] = 5.0  # where nothing ever changed
    assert threshold.exceeded(novelty(inside + unseen)).all()


def test_the_promise_holds_for_few_values_on_average():
    generator = torch.Generator().manual_seed(0)
    exceeded = [
        Threshold.fit(torch.randn(19, generator=generator), SHARE)
        .exceeded(torch.randn(200, generator=generator))
        .float()
        .mean()
        for _ in range(200)
    ]
    assert float(torch.stack(exceeded).mean()) == pytest.approx(SHARE, abs=0.02)


def test_entropy_is_that_of_a_gaussian():
    chunks = torch.randn(2, 20_000, 3, 2, generator=torch.Generator().manual_seed(0))
    chunks[1] *= 0.5
    exact = math.log(2 * math.pi * math.e) + torch.tensor([0.0, 2 * math.log(0.5)])
    torch.testing.assert_close(chunk_entropy(chunks), exact, rtol=0, atol=0.03)


def test_two_ways_are_more_than_one_and_agreement_is_finite():
    one = torch.zeros(1, 8, 4, 1)
    two = one + torch.tensor([0.7, -0.7]).repeat(4).reshape(1, 8, 1, 1)
    assert torch.isfinite(chunk_entropy(one)).all()
    assert chunk_entropy(two) > chunk_entropy(one) + 1.0


def test_what_tells_nothing_is_refused():
    with pytest.raises(ValueError, match="9 are needed"):
        Threshold.fit(torch.zeros(8), SHARE)
    with pytest.raises(ValueError, match="finite"):
        Threshold.fit(torch.tensor([0.0, math.nan] * 20), SHARE)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Threshold.fit(torch.zeros(8), 0.0)
    with pytest.raises(ValueError, match="do not differ"):
        Novelty.fit(torch.ones(5, 3))
    with pytest.raises(ValueError, match="at least 2"):
        chunk_entropy(torch.zeros(3, 1, 4, 2))
