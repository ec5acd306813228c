"""Between all places demonstrations come to where they are meant to, past the disc on both sides; goals count."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def goals(benchmarks: Path) -> Any:
    """benchmarks/goals.py."""
    return importlib.import_module("goals")


def test_demonstrations_go_straight_or_round_the_disc(goals: Any):
    begin = goals.PLACES[[0, 0, 0]]
    end = goals.PLACES[[1, 2, 2]]
    side = np.array((1.0, 1.0, -1.0))
    position, ways = begin.copy(), []
    for _ in range(goals.LEG):
        position = goals.shown(position, begin, end, side)
        ways.append(position)
    np.testing.assert_allclose(position, end, atol=1e-9)
    straight, left, right = np.stack(ways, axis=1)
    assert np.ptp(straight[:, 1]) < 1e-9
    assert np.linalg.norm(left, axis=1).min() > goals.RADIUS + 0.1
    np.testing.assert_allclose(left, right[:, ::-1], atol=1e-9, err_msg="the two ways are each other's image")


def test_who_touches_the_disc_is_nowhere(goals: Any):
    world = goals.World(np.array(((-0.3, 0.0), (0.8, 0.8))), seed=0)
    for _ in range(5):
        world.step(np.array(((0.3, 0.0), (0.8, 0.8))))
    assert world.touched.tolist() == [True, False]
    assert world.at(np.array(((world.position[0]), (0.8, 0.8)))).tolist() == [False, True]


def test_three_evaluations_are_judged_beside_fifty_of_the_same_policy(goals: Any):
    common = importlib.import_module("common")

    def found(few: float, many: float) -> Any:
        told = {
            steps: goals.RollOut(success=value, across=0.0, rarest=0.0)
            for steps, value in ((1, 0.0), (3, few), (5, 0.0), (50, many))
        }
        return goals.Measured(told=told, untold=told[50])

    rows = goals.rows_of({"edm": [found(90.0, 100.0), found(50.0, 50.0), found(98.0, 98.0)]})
    judged = [row for row in rows if row.must]
    assert [row.metric for row in judged] == ["… 3 evaluations beside 50"]
    assert (judged[0].value, judged[0].spread) == (100.0, (90.0, 100.0))
    assert common.meets(judged[0], judged[0].must) is False
