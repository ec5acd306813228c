"""What the benchmark of temperatures makes of returns, by numbers worked out by hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def temperatures(benchmarks: Path) -> Any:
    return importlib.import_module("temperatures")


def told(temperatures: Any, found: dict[str, Any]) -> list[tuple[float, str]]:
    """Value and bound of the musts."""
    return [(row.value, row.must) for row in temperatures.rows(found) if row.must]


def test_the_learned_one_may_be_within_the_best_fixed_ones_interval_or_above(temperatures: Any):
    """9, 10 and 11 have mean 10 and deviation 1: the interval begins at 10 - 1.96 / sqrt(3) = 8.87."""
    best, worse = [9.0, 10.0, 11.0], [1.0, 2.0, 3.0]
    for learned, short in (([8.9] * 3, 0), ([12.0] * 3, 0), ([8.8] * 3, 1), ([0.0, 8.9, 8.9], 0)):
        found = {"a": {None: learned, 0.1: best, 1.0: worse}}
        assert told(temperatures, found)[0] == (short, "<= 0"), learned


def test_no_fixed_one_may_be_good_everywhere(temperatures: Any):
    good, bad = [9.0, 10.0, 11.0], [1.0, 2.0, 3.0]
    here, there = {None: good, 0.1: good, 1.0: bad}, {None: good, 0.1: bad, 1.0: good}
    assert told(temperatures, {"a": here, "b": here})[1] == (1, "<= 0"), "0.1 is"
    assert told(temperatures, {"a": here, "b": there})[1] == (0, "<= 0")


def test_a_fixed_temperature_stays_and_is_told_apart_from_the_learned_one(temperatures: Any):
    options = temperatures.Options(steps=80, warm_up=66, hidden=(8,), episodes=1)
    learned, fixed, again = (temperatures.returned(options, "Pendulum-v1", each, 1) for each in (None, 3.0, 3.0))
    assert fixed == again != learned
