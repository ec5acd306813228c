"""The world of the two gates is what it is said to be, and one row of the table is judged."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

from isthmus_datasets.format.reader import DatasetReader
from isthmus_policies.evaluation.intervals import wilson


@pytest.fixture
def gates(benchmarks: Path) -> Any:
    """benchmarks/gates.py."""
    return importlib.import_module("gates")


@pytest.fixture
def steering(benchmarks: Path) -> Any:
    """benchmarks/steering.py."""
    return importlib.import_module("steering")


def test_gaps_let_through_and_walls_do_not(gates: Any):
    wall, gap = gates.WALLS[0], gates.GAPS[0]
    before = torch.tensor(
        [(wall - 0.03, gap), (wall - 0.03, gap + 0.15), (wall + 0.03, gap), (wall - 0.03, gap - 0.09)]
    )
    after = torch.tensor([(wall + 0.03, gap), (wall + 0.03, gap + 0.15), (wall + 0.06, gap), (wall + 0.03, gap - 0.15)])
    assert gates.touches(before, after).tolist() == [False, True, False, True]


def test_points_that_have_ended_stay(gates: Any):
    points = gates.Points.at(torch.tensor([(1.0, -0.2), (gates.WALLS[0] - 0.01, 0.0)]))
    for _ in range(5):
        points.move(torch.tensor([(0.0, 1.0), (1.0, 0.0)]))
    assert points.succeeded.tolist() == [True, False]
    assert points.failed.tolist() == [False, True]
    torch.testing.assert_close(points.place[1], torch.tensor((gates.WALLS[0] - 0.01 + gates.SPEED, 0.0)))


def test_hands_without_skill_fail(gates: Any, tmp_path: Path):
    share = gates.demonstrate(tmp_path / "data", 10, 0.5, 3)
    told = [bool(row.facts["success"]) for row in DatasetReader(tmp_path / "data").episodes]
    assert all(told[5:])
    assert share == sum(told) / 10
    assert share < 0.8


def test_the_best_of_ten_is_judged_beside_any_of_ten(steering: Any):
    common = importlib.import_module("common")
    table = {
        name: steering.Outcome(success=[wilson(good, 100)] * 2, ratio=[2.0] * 2)
        for name, good in {
            "one chunk": 50, "best of 10": 55, "random of 10": 50, "mode of 10": 52,
            "cloning": 40, "cloning, best of 10": 40,
        }.items()
    }  # fmt: skip
    rows = steering.rows_of(table, [70.0, 71.0], (10,))
    assert [row.metric for row in rows if row.must] == ["best of 10 less random of 10"]
    assert [row.metric for row in rows if common.meets(row, row.must) is False] == ["best of 10 less random of 10"]
    assert "95 %: 40–60" in next(row.peer for row in rows if row.metric == "success, one chunk")
