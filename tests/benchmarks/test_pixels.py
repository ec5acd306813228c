"""The arm with the camera is judged, those beside it are not; a stopwatch sees all of a method's time."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from isthmus_policies.training.options import parse


@pytest.fixture
def pixels(benchmarks: Path) -> Any:
    """benchmarks/pixels.py."""
    return importlib.import_module("pixels")


def test_only_the_arm_with_the_camera_is_judged(pixels: Any):
    common = importlib.import_module("common")
    slow = common.Trained(minutes=70.0, code_revision="abc")
    table = {name: pixels.Measured(trainings=[slow], success=[50.0]) for name in pixels.VARIANTS}
    rows = pixels.rows_of(table, {"rendering": 60.0})
    assert [row.metric for row in rows if common.meets(row, row.must) is False] == [
        "success, from the camera", "training from the camera, whole command",
    ]  # fmt: skip
    assert (rows[-1].metric, rows[-1].value) == ("share of time, rendering", 60.0)


def test_the_three_read_what_they_should_and_learn_as_long(pixels: Any):
    configs = {name: parse([pixels.TASK, *told]).config for name, told in pixels.VARIANTS.items()}
    seen, blind, told = configs.values()
    assert seen.policy.actor_groups == ("actor", "image")
    assert blind.policy.actor_groups == ("actor",)
    assert told.policy.actor_groups == ("actor", "cube")
    budgets = {(c.iterations, c.num_envs, c.algorithm.num_steps, c.episode_steps) for c in configs.values()}
    assert len(budgets) == 1


def test_a_stopwatch_adds_up_every_call(pixels: Any, monkeypatch: pytest.MonkeyPatch):
    class Worker:
        def work(self, amount: int, *, twice: bool) -> int:
            return amount * (2 if twice else 1)

    clock = iter((10.0, 12.0, 20.0, 20.5))
    monkeypatch.setattr(pixels.time, "perf_counter", lambda: next(clock))
    worker = Worker()
    watch = pixels.Stopwatch(worker, "work")
    assert worker.work(3, twice=True) == 6
    assert worker.work(3, twice=False) == 3
    assert watch.seconds == pytest.approx(2.5)
