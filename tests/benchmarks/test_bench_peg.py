"""What the benchmark of the peg keeps of each learner, and what it makes of it."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture
def peg(benchmarks: Path) -> Any:
    return importlib.import_module("peg")


@pytest.fixture
def trainings(peg: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float | None]]:
    """Which trainings were asked for, and after how many steps of the script nobody takes over; none is carried out."""
    asked: list[tuple[str, float | None]] = []

    def learned(config: Any, kind: Any = None, driven: float | None = None) -> Any:
        helped = config.algorithm.interventions.teacher is not None
        asked.append((kind.__name__ if kind else "SAC, helped" if helped else "SAC", driven))
        return SimpleNamespace(task=None, policy=None), [0.5, 0.1] * 10 if helped else [0.0] * 20

    def cloned(config: Any) -> Any:
        asked.append(("cloning", None))
        return SimpleNamespace(task=None, policy=None), []

    monkeypatch.setattr(peg, "learned", learned)
    monkeypatch.setattr(peg, "cloned", cloned)
    monkeypatch.setattr(peg, "judged", lambda task, policy, episodes: peg.Judged(0.0, float("inf")))
    return asked


def test_a_bench_that_was_interrupted_trains_nobody_again(peg: Any, trainings: list[Any], tmp_path: Path):
    options, shown = replace(peg.QUICK, seeds=(1, 2)), tmp_path / "shown"

    def found(options: Any) -> list[Any]:
        return [dict(each) for each in peg.learners(options, shown, peg.Kept(folder=tmp_path, options=options))]

    first = found(replace(options, seeds=(1,)))
    # 4 worlds x 4 control steps x 20 iterations, of which the script has driven 0.3.
    assert trainings == [("SAC, helped", None), ("Dagger", pytest.approx(96.0)), ("SAC", None), ("cloning", None)]
    assert first[0]["driven 9"] == [pytest.approx(30.0)]
    assert first[0]["seconds to success: cloning"] == [float("inf")], "nobody succeeded"
    trainings.clear()
    both = found(options)
    assert len(trainings) == 4, "those of the second seed"
    assert len(both[-1]["success: HG-DAgger"]) == 2
    trainings.clear()
    found(replace(options, leash=0.003))
    assert len(trainings) == 8, "another setting is another measure"
