"""Tables of chunk policies: which cases there are, which of them bounds judge, what the picture is drawn from."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pusher_chunks import write_untrained_run

from isthmus_datasets.format.info import DatasetError
from isthmus_policies.chunks.training.run import load_chunk_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def common(benchmarks: Path) -> Any:
    """benchmarks/common.py."""
    return importlib.import_module("common")


@pytest.fixture
def chunks(benchmarks: Path) -> Any:
    """benchmarks/chunks.py."""
    return importlib.import_module("chunks")


@pytest.fixture
def figure(benchmarks: Path) -> Any:
    """benchmarks/chunk_figure.py."""
    return importlib.import_module("chunk_figure")


@pytest.fixture
def distill(benchmarks: Path) -> Any:
    """benchmarks/distill.py."""
    return importlib.import_module("distill")


@pytest.fixture
def latency(benchmarks: Path) -> Any:
    """benchmarks/chunk_latency.py."""
    return importlib.import_module("chunk_latency")


def names(chunks: Any, folder: Path, method: str) -> list[str]:
    run = load_chunk_run(write_untrained_run(folder / method, method))
    return [chunks.case_name(method, run, case) for case in chunks.cases(run)]


def test_cases_are_named_by_evaluations_that_were_counted(chunks: Any, tmp_path: Path):
    assert names(chunks, tmp_path, "cloning") == ["cloning, 1, half executed", "cloning, 1, ensemble a tick"]
    flow = names(chunks, tmp_path, "flow")  # configured with 2, which is not told twice
    assert [name for name in flow if name.endswith("half executed")] == [
        f"flow, {n}, half executed" for n in (2, 1, 4, 8)
    ]
    assert [name for name in flow if name.endswith("warm start a tick")] == [
        f"flow, {n}, warm start a tick" for n in (1, 2, 3)
    ]
    assert "diffusion, ddpm 100, half executed" in names(chunks, tmp_path, "diffusion")


def test_families_are_told_apart_by_way_and_network(chunks: Any, tmp_path: Path):
    config = load_chunk_run(write_untrained_run(tmp_path, "few_step")).config
    assert chunks.family(config) == "few_step levels width 32 depth 1"


def found(chunks: Any, coverage: list[float], **facts: Any) -> Any:
    return chunks.Found(here=[np.array(coverage)], times=np.array([1.0, 2.0, 3.0]), **facts)


def test_only_one_warm_start_is_judged_beside_the_run_as_configured(chunks: Any, common: Any):
    table = {
        "flow": {
            "flow, 8, half executed": found(chunks, [0.90, 0.80], full=True),
            "flow, 2, half executed": found(chunks, [0.10, 0.10]),
            "flow, 1, warm start a tick": found(chunks, [0.40, 0.40]),
            "flow, 3, warm start a tick": found(chunks, [0.85, 0.81], judged=True),
        }
    }
    rows = chunks.rows_of(table)
    assert [(row.metric, row.value, common.meets(row, row.must)) for row in rows if row.must] == [
        ("flow, 3, warm start a tick: coverage lost", pytest.approx(2.0), True),
        ("flow, 3, warm start a tick: success lost", pytest.approx(0.0), True),
    ]
    table["flow"]["flow, 3, warm start a tick"] = found(chunks, [0.83, 0.80], judged=True)
    assert [common.meets(row, row.must) for row in chunks.rows_of(table) if row.must] == [False, True]


class Worlds:
    """What stands in for gym-pusht: whatever is done, half of the goal is covered."""

    def begin(self, seeds: Any) -> Any:
        return np.full((len(seeds), 5), 256.0)

    def step(self, actions: Any, going: Any) -> Any:
        return np.full((len(actions), 5), 256.0), np.where(going, 0.5, np.nan)


def test_judging_a_policy_fills_the_table(chunks: Any, tmp_path: Path):
    table: Any = {}
    options = chunks.Options(episodes=2, steps=3, decisions=0)
    for name in ("a", "b"):
        file = write_untrained_run(tmp_path / name, "flow") / "policies" / "step-0000007.safetensors"
        chunks.judge(table, {}, file, options, Worlds() if name == "b" else None)
    (cases,) = table.values()
    assert {tuple(map(tuple, each.gym)) for each in cases.values()} == {((0.5, 0.5),)}
    assert {(len(each.here), each.here[0].shape) for each in cases.values()} == {(2, (2,))}
    assert [name.partition(", ")[2] for name, each in cases.items() if each.full] == ["2, half executed"]
    assert [name.partition(", ")[2] for name, each in cases.items() if each.judged] == ["3, warm start a tick"]


def timed(common: Any, name: str, coverage: float, late: float) -> list[Any]:
    return [
        common.Row(metric=f"{name}: coverage", value=coverage, unit="", spread=(coverage - 0.1, coverage + 0.1)),
        common.Row(metric=f"{name}: success", value=50.0, unit="%", spread=(40.0, 60.0)),
        common.Row(metric=f"{name}: p99 of a decision", value=late, unit="ms"),
    ]


def test_the_picture_names_what_nothing_beats_in_both(common: Any, figure: Any, tmp_path: Path):
    rows = [
        *timed(common, "flow, 8, half executed", 0.8, 8.0),
        *timed(common, "diffusion, ddpm 100, half executed", 0.7, 90.0),
        *timed(common, "few_step regression, 1, half executed", 0.75, 1.0),
        *timed(common, "flow, 2, warm start a tick", 0.75, 2.0),
    ]
    points = figure.points(rows)
    assert points[0].scores == {
        "coverage": (pytest.approx(70.0), 80.0, pytest.approx(90.0)),
        "success": (40.0, 50.0, 60.0),
    }
    assert [point.kind for point in points] == ["sampler", "sampler", "student", "warm"]
    assert [point.words for point in figure.best(points, "coverage")] == ["student: regression (1)", "flow (8)"]
    figure.draw_points(points, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_drawn_where_nothing_was_timed(common: Any, figure: Any):
    with pytest.raises(ValueError, match="--decisions"):
        figure.points([common.Row(metric="flow, 8, half executed: coverage", value=0.5, unit="")])


def test_rows_are_read_as_they_were_written(common: Any, chunks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(common, "FIGURES", tmp_path)
    rows = timed(common, "flow, 8, half executed", 0.8, 8.0)
    common.report("chunks", rows, common.BenchOptions())
    assert [row.value for row in chunks.rows_from(tmp_path / "chunks.json")] == [0.8, 50.0, 8.0]


def test_every_way_has_a_student_and_the_usual_one_is_judged(distill: Any, common: Any):
    told = distill.students(distill.Options())
    assert {student.way for student in told} == set(distill.WAYS) >= {"levels", "regression", "consistency"}
    assert [student.name for student in told if student.judged] == ["levels"]
    teacher = distill.Found(judged=False, coverage=[np.array([0.9, 0.9])], evaluations=10, times=np.array([9.0]))
    facts = {"coverage": [np.array([0.86, 0.9])], "evaluations": 1, "times": np.array([1.0]), "seconds": [60.0]}
    trained = [distill.Trained(minutes=2.0, code_revision="abc")]
    student, other = (distill.Found(judged=judged, trained=trained, **facts) for judged in (True, False))
    rows = distill.rows_of({"teacher": teacher, "regression, 1": student, "consistency, 1": other})
    assert {row.metric: (row.value, common.meets(row, row.must)) for row in rows if row.must} == {
        "regression, 1: coverage lost": (pytest.approx(2.0), True),
        "regression, 1: success lost": (0.0, True),
        "regression, 1: evaluations saved": (10.0, True),
    }
    assert "9.0 times as fast as the teacher" in [row.peer for row in rows]


def test_a_way_that_does_not_go_with_a_teacher_says_why(distill: Any, tmp_path: Path):
    trials = importlib.import_module("chunk_trials")
    ways = {student.way: student for student in distill.students(distill.Options()) if student.width is None}
    run = trials.made_up(tmp_path, "edm")
    assert "needs a flow" in distill.refusal(ways["consistency"], run)
    assert distill.refusal(ways["regression"], run) is None
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(DatasetError):
        distill.refusal(ways["regression"], run)


def test_policies_whose_decisions_are_timed_have_the_usual_sizes(latency: Any):
    known = {candidate.name: candidate for candidate in latency.CANDIDATES}
    task = latency.arm_with_cameras()
    policy = latency.untrained(known["image student"], task)
    assert policy.spec.cameras == {f"observation.images.camera_{place}": (96, 96) for place in ("scene", "wrist")}
    assert (policy.spec.fps, policy.spec.action_size, policy.spec.horizon, policy.spec.observed) == (30, 6, 16, 2)
    assert len(policy.denoiser.layers) == 4
    assert policy.denoiser.enter.out_features == 256


def test_the_slowest_hundredth_is_judged(latency: Any, common: Any):
    candidate = latency.Candidate(name="it", method="few_step", must="<= 2")
    times = np.array([1.0] * 97 + [3.0] * 3)
    measured = latency.Measured(
        candidate=candidate, parameters=1, evaluations=1, products=1.0, graph=times, network=times, bare=times
    )
    median, late = latency.rows_of([measured])
    assert (median.value, median.must, late.value) == (1.0, None, 3.0)
    assert not common.meets(late, late.must)


@pytest.mark.long
@pytest.mark.parametrize("program", ["chunks", "distill", "chunk_latency"])
def test_the_quick_run_runs(tmp_path: Path, program: str):
    command = [sys.executable, str(ROOT / f"benchmarks/{program}.py"), "--quick"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
