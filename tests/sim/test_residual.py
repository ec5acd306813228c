"""What a learnt residual says, and where it is silent."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_sim.residual import CELLS, Residual, ResidualError, familiar, known_cells, network, read_residual

SHARE = st.floats(-1.0, 1.0)
FOUND = Residual(
    units=((2.0, -1.0, 0.5, 0.1),), known=("#" * CELLS,) * CELLS, logs=("a", "b"),
    motor={"saturation_effort": 0.5, "no_load_speed": 20.0, "stiffness": 1.0},
)  # fmt: skip


def test_the_network_by_hand():
    """d = 0.3, s = -0.2: 2·0.3 + 1·0.2 = 0.8, so 0.1·(tanh 1.3 + tanh 0.3)."""
    given = network(FOUND.units, np.array([0.3]), np.array([-0.2]))
    assert given[0] == pytest.approx(0.1 * (math.tanh(1.3) + math.tanh(0.3)))


@given(asked=SHARE, speed=SHARE)
def test_it_is_as_strong_one_way_as_the_other(asked: float, speed: float):
    there, back = (network(FOUND.units, np.array([sign * asked]), np.array([sign * speed])) for sign in (1, -1))
    assert there == pytest.approx(-back)


def test_candidates_have_networks_of_their_own():
    units = np.stack([np.array(FOUND.units), 2.0 * np.array(FOUND.units)])[:, None]
    rows = network(units, np.full((2, 3), 0.3), np.full((2, 3), -0.2))
    assert rows.shape == (2, 3)
    assert rows[0] == pytest.approx(network(FOUND.units, np.full(3, 0.3), np.full(3, -0.2)))
    assert not np.allclose(rows[1], rows[0])


def test_what_is_known_fades_within_a_cell_and_is_nothing_beyond():
    grid = np.zeros((CELLS, CELLS))
    grid[12, 12] = 1.0
    width = 2.0 / CELLS
    middle = -1.0 + 12.5 * width
    asked = np.array([middle, middle + 0.5 * width, middle + width, middle, 1.01, np.nan])
    speed = np.array([middle, middle, middle, middle - 0.25 * width, middle, middle])
    assert familiar(grid, asked, speed) == pytest.approx([1.0, 0.5, 0.0, 0.75, 0.0, 0.0])
    assert familiar(np.ones((CELLS, CELLS)), np.array([-1.0, 1.0]), np.array([1.0, -1.0])).tolist() == [1.0, 1.0]


def test_cells_are_known_by_enough_readings_either_way():
    known = known_cells(np.array([0.54, 0.54, -0.54, 0.9, 0.9]), np.array([0.1, 0.1, -0.1, 0.1, np.inf]), least=3)
    assert sum(row.count("#") for row in known) == 2
    grid = replace(FOUND, known=known).grid
    shares = familiar(grid, np.array([0.54, -0.54, 0.9]), np.array([0.1, -0.1, 0.1]))
    assert (shares > 0.0).tolist() == [True, True, False]


def test_it_is_read_back(tmp_path: Path):
    FOUND.write(tmp_path / "residual.json")
    assert read_residual(tmp_path / "residual.json") == FOUND


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "is no residual"), ('{"version": 9}', "has version 9; this program reads version 1"), ("[]", "no residual")],
)
def test_what_is_none_is_refused_by_name(tmp_path: Path, text: str, words: str):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ResidualError, match=rf"other\.json: .*{words}"):
        read_residual(path)


def test_rows_and_motors_are_checked():
    with pytest.raises(ValueError, match="known must be 24 rows"):
        replace(FOUND, known=FOUND.known[1:])
    with pytest.raises(ValueError, match="units must be rows of four numbers"):
        replace(FOUND, units=((1.0, 2.0, math.nan, 0.0),))
    with pytest.raises(ValueError, match="motor must have a positive no_load_speed"):
        replace(FOUND, motor={"saturation_effort": 1.0})
