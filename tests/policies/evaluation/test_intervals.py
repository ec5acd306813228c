"""95 % intervals, against numbers worked out by hand and published."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isthmus_policies.evaluation.intervals import interval_of_any, mean_interval, ratio, wilson


@pytest.mark.parametrize(
    ("successes", "n", "interval"),
    [
        # Wilson's score interval at z = 1.96, worked out by hand: (p + z²/2n ± z√(p(1-p)/n + z²/4n²)) / (1 + z²/n)
        (5, 10, (0.236593, 0.5, 0.763407)),
        (81, 263, (0.255289, 0.307985, 0.366209)),  # Newcombe 1998, table I: 0.2553 to 0.3662
        (0, 20, (0.0, 0.0, 0.161125)),
        (20, 20, (0.838875, 1.0, 1.0)),
        (1, 29, (0.006113, 0.034483, 0.171755)),  # Newcombe 1998, table I: 0.0061 to 0.1718
    ],
)
def test_wilson(successes: int, n: int, interval: tuple[float, float, float]):
    assert wilson(successes, n) == pytest.approx(interval, abs=2e-6)


@pytest.mark.parametrize("n", [2, 3, 7, 200, 500, 999])
@pytest.mark.parametrize("all_succeed", [False, True])
def test_a_share_and_its_interval_stay_between_zero_and_one(n: int, all_succeed: bool):
    low, share, high = wilson(n if all_succeed else 0, n)
    assert 0.0 <= low <= share <= high <= 1.0


def test_the_interval_of_a_mean():
    """1, 2, 3, 4: mean 2.5, standard deviation 1.290994, ± 1.959964·1.290994/2 = 1.265151."""
    assert mean_interval(torch.tensor([1.0, 2.0, 3.0, 4.0])) == pytest.approx((1.234849, 2.5, 3.765151), abs=2e-6)


def test_one_value_has_no_interval():
    assert interval_of_any(torch.tensor([1.0])) is None


def test_a_ratio_by_hand():
    """62 and 64 of 64: intervals of the shares are 0.8932 to 0.9914 and 0.9434 to 1; by the published formula."""
    low, value, high = ratio(wilson(62, 64), wilson(64, 64))
    assert (low, value, high) == pytest.approx((0.893027, 0.968750, 1.031385), abs=2e-6)


@given(n=st.integers(2, 500), first=st.floats(0.0, 1.0), second=st.floats(0.0, 1.0))
def test_a_ratio_lies_within_its_interval_and_one_of_a_share_to_itself_is_one(n: int, first: float, second: float):
    of, to = wilson(round(first * n), n), wilson(max(1, round(second * n)), n)
    low, value, high = ratio(of, to)
    assert 0.0 <= low <= value * (1 + 1e-9)
    assert value <= high * (1 + 1e-9)
    assert ratio(to, to)[1] == 1.0


def test_nothing_is_known_of_a_share_of_nothing():
    assert ratio(wilson(3, 10), wilson(0, 10)) == (0.0, 0.0, 1.0)
