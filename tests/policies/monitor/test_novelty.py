"""What is unlike what is known is new; thresholds are exceeded as rarely as was asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from isthmus_policies.monitor.conformal import conformal_threshold, least_values
from isthmus_policies.monitor.novelty import Novelty


def embeddings(n: int, seed: int) -> Tensor:
    """(n, 6): with correlations, of very different sizes, and one of them always the same."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(n, 5, generator=generator) * torch.tensor([10.0, 1.0, 1.0, 0.1, 0.01])
    drawn[:, 1] += 0.5 * drawn[:, 0]
    return torch.cat((drawn, torch.full((n, 1), 3.0)), dim=1)


@pytest.fixture(scope="module")
def novelty() -> Novelty:
    return Novelty.fit(embeddings(2000, 0), seed=0, steps=400)


def test_what_is_far_from_what_is_known_is_new(novelty: Novelty):
    inside = novelty(embeddings(1000, 1))
    usual = conformal_threshold(inside.tolist(), 0.05)
    far = embeddings(1000, 2)
    far[:, 0] += 60.0
    assert (novelty(far) > usual).float().mean() > 0.9
    assert (novelty(embeddings(1000, 3)) > usual).float().mean() < 0.1
    unseen = embeddings(1000, 4)
    unseen[:, 5] += 1.0  # where nothing ever changed
    assert (novelty(unseen) > usual).all()


def test_the_same_seed_learns_the_same_and_another_one_does_not(novelty: Novelty):
    rows, again = embeddings(50, 1), Novelty.fit(embeddings(2000, 0), seed=0, steps=400)
    torch.testing.assert_close(again(rows), novelty(rows), rtol=0, atol=0)
    assert not torch.equal(Novelty.fit(embeddings(2000, 0), seed=1, steps=1)(rows), novelty(rows))


@pytest.mark.parametrize(
    ("n", "share", "place"),
    [(9, 0.1, 9), (10, 0.1, 10), (19, 0.1, 18), (19, 0.05, 19), (57, 0.1, 53), (99, 0.1, 90), (3, 0.5, 2)],
)
def test_the_threshold_is_the_value_at_the_place_that_the_formula_says(n: int, share: float, place: int):
    """⌈(n + 1)(1 - share)⌉: ⌈10 x 0.9⌉, ⌈11 x 0.9⌉, ⌈20 x 0.9⌉, ⌈20 x 0.95⌉, ⌈58 x 0.9⌉, ⌈100 x 0.9⌉, ⌈4 x 0.5⌉."""
    values = np.random.default_rng(0).permutation(n) + 1.0
    assert conformal_threshold(values.tolist(), share) == place


def test_the_promise_holds_for_few_values_on_average():
    random = np.random.default_rng(0)
    exceeded = [
        (random.standard_normal(200) > conformal_threshold(random.standard_normal(19).tolist(), 0.1)).mean()
        for _ in range(400)
    ]
    assert float(np.mean(exceeded)) == pytest.approx(0.1, abs=0.015)


def test_what_tells_nothing_is_refused():
    assert least_values(0.1) == 9
    with pytest.raises(ValueError, match=r"8 values tell no limit for a share of 0.1: at least 9 are needed"):
        conformal_threshold([0.0] * 8, 0.1)
    with pytest.raises(ValueError, match="finite"):
        conformal_threshold([0.0, math.nan] * 20, 0.1)
    with pytest.raises(ValueError, match="between 0 and 1"):
        conformal_threshold([0.0] * 8, 0.0)
    with pytest.raises(ValueError, match="do not differ"):
        Novelty.fit(torch.ones(5, 3), seed=0)
    with pytest.raises(ValueError, match="not finite"):
        Novelty.fit(torch.full((5, 3), math.nan), seed=0)
