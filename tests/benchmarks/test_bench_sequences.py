"""What the benchmark of slow decisions makes of returns."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def sequences(benchmarks: Path) -> Any:
    return importlib.import_module("sequences")


def test_the_average_over_periods_is_the_area_under_the_scores(sequences: Any):
    """By hand: 3 x (1 + 0.6) / 2 + 4 x (0.6 + 0.2) / 2 + 8 x (0.2 + 0) / 2 over 15."""
    assert sequences.averaged([1.0, 0.6, 0.2, 0.0]) == pytest.approx((2.4 + 1.6 + 0.8) / 15)
    assert sequences.averaged([0.7] * 4) == pytest.approx(0.7)


def test_scores_are_between_random_actions_and_decisions_in_every_step(sequences: Any):
    """Of three seeds the middle one counts, for what is 100 and for the musts."""
    seeds = [
        {"sequence": [-200.0, -200.0, each, -300.0], "action repeat": [best, -400.0, -500.0, -800.0],
         "held": [best, -900.0, -1000.0, -1100.0]}
        for each, best in ((-300.0, -100.0), (-400.0, -200.0), (-1100.0, -300.0))
    ]  # fmt: skip
    found = {row.metric.removeprefix("task: "): row for row in sequences.rows("task", -1200.0, seeds)}
    assert found["score, sequence, every 1"].value == pytest.approx(100.0)
    assert found["score, sequence, every 8"].spread == pytest.approx((10.0, 90.0))
    assert found["score, held, every 16"].value == pytest.approx(10.0)
    kept = found["sequence, least score at 4, 8, 16 by that at 1"]
    assert (kept.value, kept.spread) == (pytest.approx(0.8), pytest.approx((0.1, 0.9)))
    musts = [row for row in sequences.rows("task", -1200.0, seeds) if row.must]
    assert [(row.value, row.must) for row in musts] == [(pytest.approx(0.8), ">= 0.85"), (pytest.approx(60.0), ">= 30")]


def test_each_kind_learns_and_is_tried_with_each_period(sequences: Any):
    options = sequences.Options(seeds=(1,), steps=32, warm_up=16, hidden=(8,), episodes=1)
    found = sequences.planned(options, 1) | sequences.held(options, 1)
    assert all(len(found[kind]) == 4 for kind in sequences.KINDS)
    assert found["held"][0] == found["action repeat"][0]
    assert len(set(found["sequence"])) > 1, "the period is told to the policy"
