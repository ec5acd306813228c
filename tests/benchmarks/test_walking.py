"""What is said of a walk follows from its figures, and each robot is held to its own bounds."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def walking(benchmarks: Path) -> Any:
    """benchmarks/walking.py."""
    return importlib.import_module("walking")


def test_the_cost_of_transport_is_energy_over_weight_and_way(walking: Any):
    assert walking.cost_of_transport(98.1, 0.5, 20.0) == pytest.approx(1.0)
    assert walking.cost_of_transport(math.inf, math.inf, 20.0) == math.inf


def test_each_robot_is_held_to_its_own_bounds(walking: Any):
    common = importlib.import_module("common")
    slow = walking.Result(
        training=common.Trained(minutes=40.0, code_revision="abc"),
        falls=4.0, velocity_error=0.18, turning_error=0.3, cost_of_transport=0.5,
    )  # fmt: skip

    def missed(task: str) -> list[str]:
        rows = walking.rows_of([slow], walking.BOUNDS.get(task, walking.Bounds()))
        return [row.metric for row in rows if common.meets(row, row.must) is False]

    assert missed("biped") == []
    assert missed("quadruped") == [
        "training, whole command", "falls in 20 s with pushes", "velocity error", "yaw rate error",
    ]  # fmt: skip
    assert missed("somebody's") == []


def test_every_walk_over_ros_2_must_succeed(walking: Any):
    """With three bodies two of three are not enough, for the worst seed."""
    common, walks = importlib.import_module("common"), importlib.import_module("walks")
    good = walks.Walks(in_process=[], over_ros={1: [], 2: [], 3: []})
    bad = walks.Walks(in_process=[], over_ros={1: [], 2: ["ended 0.60 m from where it should (at most 0.5 m)"], 3: []})

    def row(*results: Any) -> Any:
        (row,) = walks.walk_rows(list(results), (None, None), walking.BOUNDS["biped"].ros)
        return row

    assert common.meets(row(good, good), row(good, good).must)
    assert not common.meets(row(good, bad), row(good, bad).must)
    assert row(good, bad).spread == pytest.approx((200 / 3, 100.0))
    assert "body 2: ended 0.60 m" in str(bad)
