"""The world of the disc: what touches it, what is shown there, and which way a plan goes."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus_datasets.format.reader import DatasetReader

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(benchmarks: Path) -> Any:
    """benchmarks/bimodal.py."""
    return importlib.import_module("bimodal")


def driven(bench: Any, aside: float) -> Any:
    """A world whose robots go straight ahead, `aside` m beside the way through the disc's middle."""
    world, stride = bench.World(4, seed=0), np.array((bench.STRIDE, 0.0))
    world.position[:] = (0.0, aside)
    for _ in range(bench.TICKS):
        world.step(np.minimum(world.position + stride, (bench.GOAL[0], np.inf)))
    return world


def test_whoever_goes_straight_touches_the_disc_and_stays_there(bench: Any):
    world = driven(bench, 0.0)
    assert world.touched.all()
    assert not world.reached.any()
    assert (np.linalg.norm(world.position - bench.DISC, axis=1) < bench.RADIUS + bench.FASTEST).all()


def test_whoever_misses_the_goal_has_not_reached_it(bench: Any):
    world = driven(bench, 0.5)
    assert not world.touched.any()
    assert not world.reached.any()


def test_a_step_across_the_disc_touches_it_though_both_ends_are_outside(bench: Any):
    begin, way = np.array([[0.7, 0.2], [0.7, 0.2], [0.7, 0.2]]), np.array([[0.6, 0.0], [0.0, 0.6], [-0.6, 0.0]])
    np.testing.assert_allclose(bench.distance(bench.DISC, begin, way), [0.2, np.hypot(0.3, 0.2), np.hypot(0.3, 0.2)])


def test_demonstrations_go_both_ways_equally_often_and_say_nothing_before(bench: Any, tmp_path: Path):
    reader = DatasetReader(bench.demonstrate(tmp_path / "data", 40, seed=1))
    states = np.stack([reader.columns(i)[bench.STATE] for i in range(40)])
    beside = np.take_along_axis(states[:, :, 1], np.abs(states[:, :, 0] - 1.0).argmin(1)[:, None], 1)[:, 0]
    assert (beside > 0).sum() == 20
    assert np.abs(beside).min() > bench.RADIUS
    parted = bench.DISC[0] - bench.PARTED - bench.STRIDE
    before = np.where(states[:, :, 0] < parted, states[:, :, 1], np.nan)
    left, right = (np.nanmean(before[i::2]) for i in (0, 1))
    assert abs(left - right) < 0.03


def test_a_plan_is_on_the_side_where_it_is_furthest_from_the_straight_way(bench: Any):
    plans = np.zeros((2, 8, 2), np.float32)
    plans[:, 2:5, 1] = [[0.1, -0.4, 0.2], [-0.1, 0.4, 0.2]]
    assert bench.planned_side(plans).tolist() == [-1.0, 1.0]


def test_only_a_policy_that_never_changes_its_plans_side_keeps_its_way(bench: Any):
    paths, reached = np.zeros((2, 4, 2)), np.array([True, True, True, False])
    out = bench.RollOut(
        paths=paths, reached=reached, side=np.array([1.0, 1.0, -1.0, 0.0]), changes=np.array([0, 2, 0, 0]),
        kept=np.array([True, False, True, False]),
    )  # fmt: skip
    assert (out.success, out.keep_their_way) == (75.0, 50.0)
    assert out.rarer_way == pytest.approx(100 / 3)


@pytest.mark.long
def test_the_quick_run_runs_and_draws(tmp_path: Path):
    command = [sys.executable, str(ROOT / "benchmarks/bimodal.py"), "--quick", "--figure", "bimodal.png"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "bimodal.png").stat().st_size > 1000
