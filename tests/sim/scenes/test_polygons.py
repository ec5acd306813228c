"""Areas by hand, against shapely where it is installed, and what must hold for any polygon."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from isthmus_sim.robots.pusher.description import BLOCK_AREA, OUTLINE
from isthmus_sim.scenes.polygons import area_in_box, rotation

UNIT = ((0.0, 0.0), (1.0, 1.0))
places = st.floats(-150, 150)
angles = st.floats(-math.pi, math.pi)
poses = st.tuples(places, places, angles)


def area(polygon: Tensor, low: tuple[float, float], high: tuple[float, float]) -> float:
    return float(area_in_box(polygon, polygon.new_tensor(low), polygon.new_tensor(high)))


def tensor(corners: tuple[tuple[float, float], ...]) -> Tensor:
    return torch.tensor(corners, dtype=torch.float64)


def tee(x: float, y: float, angle: float) -> Tensor:
    turned = rotation(torch.tensor(angle, dtype=torch.float64))
    return tensor(OUTLINE) @ turned.T + tensor(((x, y),))


@pytest.mark.parametrize(
    ("corners", "expected"),
    [
        (((0, 0), (1, 0), (1, 1), (0, 1)), 1.0),  # the box itself
        (((-5, -5), (5, -5), (5, 5), (-5, 5)), 1.0),  # all around it
        (((0.2, 0.3), (0.7, 0.3), (0.7, 0.5), (0.2, 0.5)), 0.1),  # within
        (((0.5, 0.25), (3, 0.25), (3, 9), (0.5, 9)), 0.375),  # over a corner
        (((1, 0), (2, 0), (2, 1), (1, 1)), 0.0),  # beside it, touching
        (((0, 0), (2, 0), (0, 2)), 1.0),  # its long side through the far corner
        (((0, 0), (1, 0), (0, 1)), 0.5),
        (((0.5, -1), (2, 0.5), (0.5, 2), (-1, 0.5)), 1.0),  # a diamond through its corners
        (((0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)), 0.5),
        (((0, 0), (2, 0), (2, 0.5), (0.5, 0.5), (0.5, 2), (0, 2)), 0.75),  # an L
    ],
)
def test_areas_by_hand(corners: tuple[tuple[float, float], ...], expected: float):
    assert area(tensor(corners), *UNIT) == pytest.approx(expected, abs=1e-15)
    assert area(tensor(corners).flip(0), *UNIT) == pytest.approx(expected, abs=1e-15), "whichever way round"


@given(poses, st.tuples(places, places))
def test_the_parts_add_up_to_the_whole(pose: tuple[float, float, float], cut: tuple[float, float]):
    """The pieces of a T that a cross cuts into four."""
    far, (x, y) = 1e3, cut
    quarters = [
        area(tee(*pose), (left, bottom), (left + far, bottom + far)) for left in (x - far, x) for bottom in (y - far, y)
    ]
    assert min(quarters) >= 0
    assert sum(quarters) == pytest.approx(BLOCK_AREA, rel=1e-12)


@given(poses, st.tuples(places, places, st.floats(0.0, 100), st.floats(0.0, 100)))
def test_agrees_with_shapely(pose: tuple[float, float, float], box: tuple[float, float, float, float]):
    shapely = pytest.importorskip("shapely", reason="shapely is not installed: only this comparison needs it")
    x, y, width, height = box
    expected = shapely.area(shapely.intersection(shapely.Polygon(tee(*pose)), shapely.box(x, y, x + width, y + height)))
    assert area(tee(*pose), (x, y), (x + width, y + height)) == pytest.approx(expected, abs=1e-9)


def test_batches():
    polygons = torch.stack([tee(10.0 * i, 5.0, 0.1 * i) for i in range(6)])
    low, high = tensor(((0, 0), (-20, 30))), tensor(((30, 40), (90, 50)))
    areas = area_in_box(polygons.unsqueeze(1), low, high)
    assert areas.shape == (6, 2)
    for i in range(6):
        for j in range(2):
            assert float(areas[i, j]) == float(area_in_box(polygons[i], low[j], high[j]))


def test_what_is_not_a_number_stays_so():
    polygons = torch.stack((tee(0, 0, 0), torch.full((8, 2), math.nan, dtype=torch.float64)))
    assert area_in_box(polygons, *tensor(UNIT)).isnan().tolist() == [False, True]
