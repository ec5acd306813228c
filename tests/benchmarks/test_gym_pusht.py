"""gym-pusht begins where we say that it does, is driven through its pipe, and what it gives becomes rows."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from isthmus_sim.robots.pusher.drawing import image
from isthmus_sim.tasks.push_t import STANDARD_SEEDS, gym_pusht_start

ROOT = Path(__file__).parents[2]
needs_gym = pytest.mark.skipif(
    not (ROOT / ".gym-pusht/bin/python").exists(), reason="gym-pusht is not installed: make bench-gym-pusht does that"
)


@pytest.fixture
def bench(benchmarks: Path) -> Any:
    """benchmarks/gym_pusht.py."""
    return importlib.import_module("gym_pusht")


def judged(bench: Any, steps: int, coverage: list[float], here: float, sees: bool = False) -> Any:
    evaluation = SimpleNamespace(peak={"coverage": (0.0, here, 1.0)}, success=(0.0, here, 1.0))
    return bench.Judged(steps=steps, sees=sees, coverage=np.array(coverage), here=evaluation, standard=evaluation)


def test_all_policies_count_and_success_is_more_than_the_bound(bench: Any):
    policies = [judged(bench, 10, [0.5, 0.95], 0.2), judged(bench, 20, [0.96, 0.99], 0.4)]
    rows = bench.rows_of({"push": policies, "again": [judged(bench, 5, [0.96, 0.8], 0.3)]})
    told = {row.metric: (row.value, row.seeds) for row in rows if "together" in row.metric}
    assert told["push, the last 2 together: greatest coverage, 95 % interval"] == (pytest.approx(0.85), 4)
    success = [row for row in rows if row.metric.startswith("… success")]
    assert [row.value for row in success] == [0.0, 100.0, 50.0, 50.0, 50.0]
    assert success[2].spread == (pytest.approx(15.0, abs=0.1), pytest.approx(85.0, abs=0.1))
    assert "here, same starts 30" in success[2].peer
    coverage, over_runs, apart = [row for row in rows if row.must]
    assert (coverage.spread, coverage.seeds) == ((pytest.approx(0.85), pytest.approx(0.88)), 2)
    assert over_runs.spread == (50.0, 50.0)
    assert apart.value == pytest.approx((0.725 + 0.975 + 0.88) / 3 * 1 - 0.3, abs=1e-3)


def test_who_sees_pictures_has_an_aim_and_no_must(bench: Any):
    rows = bench.rows_of({"push": [judged(bench, 10, [0.5, 0.96], 0.7, sees=True)]})
    assert [row.aim for row in rows if row.aim] == [">= 0.86"]
    assert [row.metric for row in rows if row.must] == ["… coverage here, same starts, off by"]


@needs_gym
def test_worlds_begin_as_we_say_and_stay_where_they_are_told_to(bench: Any):
    seeds = STANDARD_SEEDS[:3]
    with bench.GymPushT(bench.PYTHON) as worlds:
        begun = worlds.begin(seeds)
        expected = np.array([gym_pusht_start(seed) for seed in seeds])
        expected[:, 4] %= 2 * np.pi
        np.testing.assert_allclose(begun, expected, atol=1e-3)
        states, coverage = worlds.step(np.full((3, 2), 256.0), np.array([True, False, True]))
        assert np.isnan(coverage).tolist() == [False, True, False]
        assert (np.abs(states - begun)[:, :2].max(1) > 1.0).tolist() == [True, False, True]
        given = worlds.begin([[100.0, 110.0, 256.0, 256.0, np.pi / 4]])
        np.testing.assert_allclose(given, [[100.0, 110.0, 256.0, 256.0, np.pi / 4]])
        assert worlds.step(np.array([[100.0, 110.0]]))[1] == pytest.approx(1.0)


@needs_gym
def test_its_pictures_are_those_that_our_robot_sees(bench: Any):
    """But for how edges are drawn."""
    seeds = STANDARD_SEEDS[:3]
    with bench.GymPushT(bench.PYTHON) as worlds:
        states = worlds.begin(seeds)
        seen = worlds.pictures()
    assert seen.shape == (3, 3, 96, 96)
    for picture, state in zip(seen.movedim(1, -1).numpy(), states, strict=True):
        off = np.abs(picture.astype(int) - image(state[:2], state[2:]))
        assert (off.max(axis=-1) > 32).mean() < 0.02


@needs_gym
def test_a_worker_that_has_ended_is_told(bench: Any):
    with bench.GymPushT(bench.PYTHON) as worlds, pytest.raises(RuntimeError, match="gym-pusht has ended"):
        worlds.begin([[100.0, 100.0]])  # no whole state


@needs_gym
@pytest.mark.long
def test_the_quick_run_runs(tmp_path: Path):
    command = [sys.executable, str(ROOT / "benchmarks/gym_pusht.py"), "--quick"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
