"""How fast an end may be approached."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus_deploy.safety.commands.barriers import BrakingBarrier


def barrier(share: float, change: float | None, distance: float) -> float:
    return BrakingBarrier.of(share, math.inf if change is None else change)(distance)


@pytest.mark.parametrize(
    ("share", "change", "distance", "expected"),
    [
        (0.25, None, 8.0, 2.0),  # a share of the distance
        (1.0, None, 8.0, 8.0),
        (1.0, 2.0, 0.5, 0.5),  # what is left, where a step is smaller than its change
        (1.0, 2.0, 9.0, 5.0),  # sqrt(2·2·9) - 1: steps 5, 3, 1 make 9
        (1.0, 2.0, 25.0, 9.0),  # 9, 7, 5, 3, 1
        (0.5, 2.0, 6.0, 3.0),  # h* = 2·0.75/0.25
        (0.5, 2.0, 11.0, 5.0),  # sqrt(44 - 4·2) - 1
    ],
)
def test_by_hand(share: float, change: float | None, distance: float, expected: float):
    assert barrier(share, change, distance) == pytest.approx(expected)


@given(share=st.floats(0.01, 1.0), change=st.floats(1e-3, 1e3) | st.just(math.inf), step=st.floats(1e-3, 1e3))
def test_from_which_distance_on_a_step_is_allowed(share: float, change: float, step: float):
    limit = BrakingBarrier.of(share, change)
    assert limit(limit.distance(step)) == pytest.approx(step, rel=1e-6)


@given(share=st.floats(0.01, 1.0), change=st.floats(1e-3, 1e3), distance=st.floats(0.0, 1e3))
def test_the_next_step_can_always_be_small_enough(share: float, change: float, distance: float):
    step = barrier(share, change, distance)
    assert 0.0 <= step <= share * distance * (1 + 1e-12)
    assert barrier(share, change, distance - step) >= step - change - 1e-9 * max(1.0, change, distance)


@settings(deadline=None, max_examples=30)
@given(share=st.floats(0.1, 1.0), change=st.floats(0.1, 10.0), distance=st.floats(0.0, 100.0))
def test_who_goes_as_fast_as_allowed_brakes_in_time_and_arrives(share: float, change: float, distance: float):
    limit, before = BrakingBarrier.of(share, change), -math.inf
    for _ in range(300):
        step = limit(distance)
        assert step >= before - change - 1e-9
        before = step
        distance -= before
        assert distance >= 0.0
    assert distance <= 1e-3
