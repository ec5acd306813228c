"""A policy that is taught while a robot acts: the demo's making, and what its report tells of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from isthmus_policies.actor_learner.script import ScriptConfig
from isthmus_policies.demo.making.making import Order
from isthmus_policies.demo.making.teaching import ByTeaching, TeachingOptions
from isthmus_policies.demo.processes import ProcessError
from isthmus_policies.demo.report import teaching
from isthmus_policies.demo.report.missions.insert import INSERT
from isthmus_policies.training.logs import read_metrics
from isthmus_policies.training.run import load_run

SMALL = (
    "--algorithm.warm-up", "20", "--policy.actor", "8", "--policy.critic", "8", "--algorithm.batch-size", "16",
    "--algorithm.patience-s", "0.2",
)  # fmt: skip


def rows(count: int) -> list[dict[str, float]]:
    """The script drives less and less, and every other row has an episode's end, the last half of them successes."""
    made = []
    for i in range(count):
        row = {"iteration": float(i), "steps": 20.0 * i, "seconds": 1.0 * i, "robot/intervened": 1 - i / (count - 1)}
        made.append(row | ({"episode/succeeded": float(i >= count / 2)} if i % 2 else {}))
    return made


def test_shares_are_those_of_tenths():
    shares, done = teaching.intervened(rows(100)), teaching.succeeded(rows(100))
    assert len(shares) == len(done) == 10
    assert shares[0] == pytest.approx(1 - 4.5 / 99)
    assert shares[-1] == pytest.approx(4.5 / 99)
    assert done == [0.0] * 5 + [1.0] * 5
    assert len(teaching.intervened(rows(3))) == 3


def test_the_report_tells_who_drove():
    demo: Any = SimpleNamespace(metrics=rows(100), made={}, teacher=[])
    shown, practised, driven = INSERT.making.facts(demo)
    assert shown.value == "not recorded"
    assert practised.value == "1.6 min"
    assert driven.value == "5 %"
    assert "in the first tenth 95 %" in driven.detail
    assert "100 % of the last tenth's episodes succeeded" in driven.detail
    assert "Steps that the script drove" in teaching.learning(demo)
    assert teaching.learning(SimpleNamespace(metrics=[])) == ""  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("wrong", [{"episodes": 1}, {"tries": 0}, {"minutes": 0.0}])
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, Any], tmp_path: Path):
    with pytest.raises(ValueError, match="--episodes and --tries must be at least 2, and --minutes above 0"):
        INSERT.making.check(TeachingOptions(**wrong), tmp_path)


def order(folder: Path) -> Order:
    return Order(task="push_t", trained="push_t", out=folder, run=folder / "run", seed=0, console=Console(quiet=True))


@pytest.mark.long
def test_it_is_taught_by_real_processes(tmp_path: Path):
    making = ByTeaching(script=ScriptConfig(probability=0.5, patience=10, duration=10), learner=SMALL, enough=10_000)
    assert making.make(order(tmp_path), TeachingOptions(episodes=2, minutes=0.5))
    metrics = read_metrics(tmp_path / "run")
    assert any(row.get("robot/intervened", 0.0) > 0 for row in metrics)
    assert metrics[-1]["robot/transitions"] > 50
    assert load_run(tmp_path / "run").config.algorithm_name == "sac-robot"


@pytest.mark.long
def test_a_learner_that_cannot_begin_says_why(tmp_path: Path):
    making = ByTeaching(script=ScriptConfig(), learner=("--algorithm.gamma", "nonsense"), enough=10_000)
    with pytest.raises(ProcessError, match=r"learner ended with status 2: .*\(see .*learner.log\)"):
        making.make(order(tmp_path), TeachingOptions(episodes=2, minutes=0.5))
