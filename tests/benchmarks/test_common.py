"""What every benchmark does with its figures, and what --quick and --save make of it."""

from __future__ import annotations

import importlib
import json
import math
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from isthmus_deploy.timing.machine_load import MachineLoad


@pytest.fixture
def common(benchmarks: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """benchmarks/common.py on a quiet machine, in an empty folder, with results in another."""
    module = importlib.import_module("common")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(module, "machine_load", lambda: MachineLoad(others=0.0, cores=2))
    return module


def told(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks/push_t.py", *arguments])


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.json"))


def test_figures_say_what_made_them(common: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    told(monkeypatch, "--save", "--data", "a b")
    row = common.Row(metric="speed", value=3.0, unit="1/s", spread=(2.0, 4.0), seeds=5, must=">= 2")
    assert common.report("push_t", [row], common.BenchOptions(save=True)) == 0
    assert written(tmp_path) == ["results/push_t.json", "runs/bench/push_t.json"]
    (figure,) = json.loads((tmp_path / "results" / "push_t.json").read_text())
    assert (figure["metric"], figure["value"], figure["spread"], figure["must"]) == ("speed", 3.0, [2.0, 4.0], ">= 2")
    assert figure["command"] == """make bench-push-t ARGS='--save --data '"'"'a b'"'"''"""
    assert figure["date"][:2] == "20"
    assert "cores" in figure["machine"]
    assert figure["code_revision"]


def test_the_worst_of_the_spread_is_held_to_the_bound(common: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    told(monkeypatch)
    row = common.Row(metric="speed", value=3.0, unit="1/s", spread=(1.9, 4.0), must=">= 2")
    assert common.report("push_t", [row], common.BenchOptions()) == 1
    assert written(tmp_path) == ["runs/bench/push_t.json"], "nothing is kept unasked"


def test_what_could_not_be_measured_is_shown_and_kept_as_nothing(
    common: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    told(monkeypatch)
    row = common.Row(metric="error", value=math.inf, unit="m", spread=(0.5, math.inf), must="<= 1")
    assert common.report("push_t", [row], common.BenchOptions()) == 1
    (figure,) = json.loads((tmp_path / "runs" / "bench" / "push_t.json").read_text())
    assert (figure["value"], figure["spread"]) == (None, [0.5, None])
    assert "0.5 … –" in capsys.readouterr().out


def test_a_quick_run_judges_nothing_and_keeps_nothing(
    common: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    told(monkeypatch, "--quick")
    row = common.Row(metric="speed", value=1.0, unit="1/s", must=">= 2", aim=">= 3")
    assert common.report("push_t", [row], common.BenchOptions(quick=True)) == 0
    assert written(tmp_path) == ["runs/bench/push_t-quick.json"]
    (figure,) = json.loads((tmp_path / "runs" / "bench" / "push_t-quick.json").read_text())
    assert (figure["must"], figure["aim"]) == (None, None)
    printed = capsys.readouterr().out
    assert "claims nothing" in printed
    assert ">= 2" not in printed


def test_quick_changes_what_is_not_asked_for(common: Any, monkeypatch: pytest.MonkeyPatch):
    @dataclass(frozen=True, kw_only=True)
    class Options(common.BenchOptions):
        rounds: int = 15
        seconds: float = 0.3

    quick = Options(rounds=2, seconds=0.1)
    told(monkeypatch)
    assert common.parse(Options(), quick) == Options()
    told(monkeypatch, "--quick", "--rounds", "7")
    assert common.parse(Options(), quick) == Options(quick=True, rounds=7, seconds=0.1)


def test_what_claims_nothing_cannot_be_saved(common: Any, monkeypatch: pytest.MonkeyPatch):
    told(monkeypatch, "--quick", "--save")
    with pytest.raises(SystemExit, match="--save"):
        common.parse(common.BenchOptions(), common.BenchOptions())


def test_a_busy_machine_is_said(common: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    told(monkeypatch)
    monkeypatch.setattr(common, "machine_load", lambda: MachineLoad(others=2.0, cores=2))
    common.parse(common.BenchOptions(), common.BenchOptions())
    assert "bench-push-t: this machine is busy" in capsys.readouterr().err


def test_a_training_that_is_kept_is_not_repeated(common: Any, tmp_path: Path):
    """What it took and who ran it stay as they were; one that was told something else is not taken for it."""
    run = tmp_path / "run"
    script = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.mkdir(); (p / 'count').write_text('once')"
    command = [sys.executable, "-c", script, str(run)]
    first = common.train(command, run)
    (run / "count").write_text("kept")
    assert common.train(command, run) == first
    assert (run / "count").read_text() == "kept"
    assert 0.0 < first.minutes < 1.0
    assert common.revisions([first]) is None
    assert common.revisions([common.Trained(minutes=1.0, code_revision="abc")]) == "trained at abc"
    with pytest.raises(SystemExit, match="choose another folder"):
        common.train([*command, "--iterations", "3"], run)


def test_every_benchmark_can_be_quick_and_saved(common: Any, benchmarks: Path):
    peers = {"train": "rsl_rl", "adapter": "stable_baselines3", "sac": "stable_baselines3"}
    shared = {"common", "chunk_trials", "chunk_figure", "gates", "kept", "shown", "walks"}
    left_out = shared | {name for name, peer in peers.items() if find_spec(peer) is None}
    for name in {path.stem for path in benchmarks.glob("*.py")} - left_out:
        module = importlib.import_module(name)
        assert issubclass(module.Options, common.BenchOptions), name
        assert isinstance(module.QUICK, module.Options), name
