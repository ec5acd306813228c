"""How far a tool is from what it is kept out of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planar_arm import WALL, arm_tool

from isthmus_deploy.contracts.borders import Borders
from isthmus_deploy.contracts.safety_data import Box, Sphere

EVERYTHING = arm_tool(
    half_spaces=(WALL,),
    workspace=Box(minimum=(-1.0, -1.0, -1.0), maximum=(1.0, 1.0, 2.0)),
    boxes=(Box(minimum=(0.0, 0.0, 0.0), maximum=(0.2, 0.4, 0.6)),),
    spheres=(Sphere(center=(0.0, 0.0, 1.0), radius=0.5),),
)


@pytest.mark.parametrize(
    ("point", "border", "expected", "normal"),
    [
        ((0.0, 0.3, 0.0), 0, 0.5, (0.0, 1.0, 0.0)),  # the wall
        ((0.25, 0.0, 0.0), 1, 1.25, (1.0, 0.0, 0.0)),  # the workspace's lower x
        ((0.25, 0.0, 0.5), 6, 1.5, (0.0, 0.0, -1.0)),  # its upper z
        ((0.5, 0.8, 0.3), 7, 0.5, (0.6, 0.8, 0.0)),  # beside an edge of the box, 0.3 and 0.4 away
        ((0.1, 0.35, 0.3), 7, -0.05, (0.0, 1.0, 0.0)),  # in the box, below its nearest face
        ((0.0, 0.0, 2.0), 8, 0.5, (0.0, 0.0, 1.0)),  # over the ball
        ((0.1, 0.0, 1.0), 8, -0.4, (1.0, 0.0, 0.0)),  # in the ball
    ],
)
def test_by_hand(point, border: int, expected: float, normal):
    borders = Borders(EVERYTHING)
    assert borders.distances(point)[border] == pytest.approx(expected)
    assert borders.normal(border, point) == pytest.approx(normal)


def test_every_border_is_named():
    assert Borders(EVERYTHING).kinds == ["half-space"] + ["workspace"] * 6 + ["box", "sphere"]


@given(st.tuples(*[st.floats(-1.5, 1.5)] * 3), st.tuples(*[st.floats(-1e-3, 1e-3)] * 3))
def test_outside_the_box_what_is_linearised_is_never_too_bold(point, step):
    """Distances are convex: going on along the gradient tells at most how far one is."""
    borders = Borders(EVERYTHING)
    here = borders.distances(point)
    there = borders.distances(tuple(np.add(point, step)))
    for index, (before, after) in enumerate(zip(here, there, strict=True)):
        if min(before, after) > 0.0:
            assert after >= before + np.dot(borders.normal(index, point), step) - 1e-9
