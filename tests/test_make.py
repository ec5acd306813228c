"""The front door: `make help` lists every target, and targets say what they need."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in the repository, without any variable of an outer make."""
    return subprocess.run(
        ["env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "make", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def targets() -> set[str]:
    """Names of all targets in the Makefile that a person would type."""
    names = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    return set(names)


def test_help_lists_every_target_and_is_the_default():
    result = make("help")
    listed = re.findall(r"^  ([a-z-]+) +\S.*$", result.stdout, flags=re.MULTILINE)
    assert sorted(listed) == sorted(targets())
    assert {"setup", "demo", "train", "play", "export", "deploy", "test", "test-long", "lint", "clean"} <= targets()
    assert make().stdout == result.stdout


@pytest.mark.parametrize(("target", "variable"), [("play", "RUN"), ("export", "RUN"), ("deploy", "POLICY")])
def test_a_target_without_its_argument_says_so(target: str, variable: str):
    result = make(target)
    assert result.returncode != 0
    assert f"{variable}=" in result.stderr


def test_every_target_that_runs_something_sets_itself_up():
    # A stamp that cannot exist: make must plan to run set-up first.
    for target in sorted(targets() - {"help", "clean"}):
        plan = make("-n", target, "RUN=a", "POLICY=b", "STAMP=no-such-stamp").stdout
        assert "scripts/setup.sh" in plan, target


def test_an_unknown_ros_is_refused_with_the_valid_names():
    result = subprocess.run([ROOT / "scripts" / "setup.sh", "humble"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode != 0
    assert "jazzy, kilted or system" in result.stderr


def test_every_benchmark_has_a_target():
    shared = {"common", "chunk_trials", "chunk_figure", "gates", "kept", "shown", "walks"}
    programs = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - shared
    plain = {"campaign"}  # it measures nothing: it checks
    assert plain | {f"bench-{name.replace('_', '-')}" for name in programs - plain} <= targets()
