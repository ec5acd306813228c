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
    options = replace(peg.QUICK, seeds=(1, 2))

    def found(options: Any) -> Any:
        return peg.learners(options, tmp_path / "shown", peg.Kept(folder=tmp_path, options=options))

    first = found(replace(options, seeds=(1,)))
    # 4 worlds x 4 control steps x 20 iterations, of which the script has driven 0.3.
    assert trainings == [("SAC, helped", None), ("Dagger", pytest.approx(96.0)), ("cloning", None), ("SAC", None)]
    assert first[peg.OURS][0]["driven"] == pytest.approx([30.0] * 10)
    trainings.clear()
    both = found(options)
    assert len(trainings) == 4, "those of the second seed"
    assert all(len(both[name]) == 2 for name in (peg.OURS, peg.DAGGER, peg.CLONING, peg.RLPD))
    trainings.clear()
    found(replace(options, leash=0.003))
    assert len(trainings) == 8, "another setting is another measure"


def test_the_worst_seed_is_told_and_who_never_succeeds_takes_for_ever(peg: Any):
    """Two seeds; cloning never succeeds with the second."""

    def told(success: float, seconds: float | None, driven: float = 0.0) -> dict[str, Any]:
        return {"success": success, "seconds": seconds, "minutes": 4.0, "driven": [20.0] * 9 + [driven]}

    found = {
        peg.OURS: [told(96.0, 2.0, 3.0), told(90.0, 2.5, 6.0)], peg.DAGGER: [told(48.0, 4.0), told(60.0, 3.0)],
        peg.CLONING: [told(40.0, 4.0), told(0.0, None)], peg.RLPD: [told(80.0, 2.0), told(80.0, 2.5)],
    }  # fmt: skip
    rows = {row.metric: row for row in peg.rows(found, peg.Judged(50.0, 4.0), peg.QUICK)}
    assert rows["success of ours over that of HG-DAgger"].spread == pytest.approx((1.5, 2.0))
    assert rows["seconds of HG-DAgger over ours"].spread == pytest.approx((1.2, 2.0))
    assert rows["seconds of cloning over ours"].spread == (2.0, float("inf"))
    assert rows["steps driven by the script, tenth 10"].spread == (3.0, 6.0)
    assert rows["success: RLPD and interventions"].must == ">= 95"
