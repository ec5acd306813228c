"""The nearest step within linear bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus_deploy.safety.commands.projection import project

WIDE = ([-9.0, -9.0], [9.0, 9.0])


def test_a_step_that_keeps_all_bounds_stays():
    assert project([1.0, 2.0], *WIDE, [[1.0, 0.0]], [0.0]) == [1.0, 2.0]


def test_one_bound_in_closed_form():
    """Onto x + y >= -1 from (-3, 0): 2 are missing, half of it for each."""
    assert project([-3.0, 0.0], *WIDE, [[1.0, 1.0]], [1.0]) == pytest.approx([-2.0, 1.0])


def test_two_bounds_are_kept_near_their_corner():
    """x >= -1 and x + y >= 1 from (-4, 0): the second one first, to (-1.5, 2.5), then x; the corner is (-1, 2)."""
    assert project([-4.0, 0.0], *WIDE, [[1.0, 0.0], [1.0, 1.0]], [1.0, -1.0]) == pytest.approx([-1.0, 2.5])


def test_the_box_leaves_the_rest_to_who_may_still_move():
    """x + y >= 0 from (-2, 0), and y at most 0.5: x does the other 1.5."""
    assert project([-2.0, 0.0], [-9.0, -9.0], [9.0, 0.5], [[1.0, 1.0]], [0.0]) == pytest.approx([-0.5, 0.5])


def test_what_cannot_be_kept_is_kept_as_far_as_possible():
    assert project([-1.0, 0.0], [-1.0, -1.0], [0.25, 0.25], [[1.0, 0.0]], [-5.0]) == pytest.approx([0.25, 0.0])


FEW = st.lists(st.floats(-1.0, 1.0), min_size=3, max_size=3)


@settings(deadline=None)
@given(wanted=FEW, gradient=FEW, room=st.floats(0.0, 1.0))
def test_for_one_bound_it_is_the_nearest_step(wanted: list[float], gradient: list[float], room: float):
    """Zero keeps every bound with room, so the bound is kept; and nothing between the answer and the wish keeps it."""
    low, high = [-1.0] * 3, [1.0] * 3
    step = np.array(project(wanted, low, high, [gradient], [room]))
    assert np.dot(gradient, step) >= -room - 1e-5
    assert (np.abs(step) <= 1.0).all()
    nearer = step + 0.01 * (np.array(wanted) - step)
    if np.linalg.norm(nearer - step) > 1e-4:
        assert np.dot(gradient, nearer) < -room + 1e-5
