"""The student is judged by what it keeps of its teacher's success."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from isthmus_policies.training.options import parse


def test_the_worst_seed_is_judged_beside_its_own_teacher(benchmarks: Path):
    bench, common = (importlib.import_module(name) for name in ("imitation", "common"))
    trained = [common.Trained(minutes=5.0, code_revision="abc")] * 3
    found = bench.Found(
        teacher=[100.0, 80.0, 90.0], student=[90.0, 80.0, 72.0], shown=[50.0, 60.0, 40.0],
        trainings=(trained, trained),
    )  # fmt: skip
    kept = next(row for row in bench.rows_of(found) if row.must)
    assert (kept.value, kept.spread) == (90.0, (80.0, 100.0))
    assert common.meets(kept, kept.must) is False
    nothing = bench.Found(teacher=[0.0], student=[0.0], shown=[0.0], trainings=(trained, trained))
    assert common.meets(bench.rows_of(nothing)[3], ">= 85"), "a teacher that does nothing says nothing"


def test_the_teacher_is_told_where_the_cube_is_and_draws_nothing(benchmarks: Path):
    bench: Any = importlib.import_module("imitation")
    config = parse([bench.TASK, *bench.TOLD]).config
    assert (config.policy.actor_groups, config.robot) == (("actor", "cube"), "so101")
