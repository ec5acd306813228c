"""Threads of torch soon sleep when they wait, whichever program is started, unless the person wants it otherwise."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus_sim.threads import SPIN_COUNT, TURNS, WAIT_POLICY, settle_waiting

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

UP_TO_TORCH = """
import importlib, os, sys

class AtTorch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"), flush=True)
            os._exit(0)

sys.path.insert(0, sys.argv[1])
sys.meta_path.insert(0, AtTorch())
for module in sys.argv[2:]:
    importlib.import_module(module)
"""


def environment(**settings: str) -> dict[str, str]:
    """This process's, in which nobody has said how threads wait, and `settings`."""
    return {name: value for name, value in os.environ.items() if name not in (WAIT_POLICY, SPIN_COUNT)} | settings


# What lies in a package whose __init__ settles it, and what lies in none.
@pytest.mark.parametrize(
    "modules",
    [
        ("isthmus_sim.env",),
        ("isthmus_policies.training.train",),
        ("isthmus_deploy.ros.stand_in_robot.worlds.world", "isthmus_deploy.ros.stand_in_robot.worlds.quadrotor"),
        ("engine",),
    ],
    ids=lambda modules: modules[-1],
)
def test_it_is_settled_before_torch_loads(modules: tuple[str, ...]):
    command = [sys.executable, "-c", UP_TO_TORCH, str(BENCHMARKS), *modules]
    result = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert result.stdout == "PASSIVE\n", result.stderr


def test_every_benchmark_imports_common_first():
    """Which settles it, as the one above shows."""
    for path in BENCHMARKS.glob("*.py"):
        assert path.stem == "common" or first_import(path) == "common", path.name


def first_import(path: Path) -> str:
    """The first module that a program imports from outside the standard library."""
    found = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name for node in found]
    return next(name for name in names if name.split(".")[0] not in sys.stdlib_module_names)


def test_openmp_hears_of_it():
    assert spin_count("import isthmus_sim, torch") == str(TURNS)


def test_what_the_person_has_set_stays():
    assert spin_count("import isthmus_sim, torch", GOMP_SPINCOUNT="77") == "77"


def spin_count(code: str, **settings: str) -> str:
    """How often OpenMP's threads turn before they sleep, as it says itself when it is loaded by `code`."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(OMP_DISPLAY_ENV="VERBOSE", **settings),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    said = re.search(r"GOMP_SPINCOUNT = '(\w+)'", result.stderr)
    if said is None:
        pytest.skip("torch's OpenMP here is not GNU's")
    return said.group(1)


@pytest.mark.parametrize(("name", "value"), [(WAIT_POLICY, "ACTIVE"), (SPIN_COUNT, "1000")])
def test_a_setting_of_the_persons_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    for variable in (WAIT_POLICY, SPIN_COUNT):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, value)
    before = dict(os.environ)
    settle_waiting()
    assert dict(os.environ) == before


def test_torch_imported_first_is_told(monkeypatch: pytest.MonkeyPatch):
    for variable in (WAIT_POLICY, SPIN_COUNT):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setitem(sys.modules, "torch", object())
    with pytest.warns(RuntimeWarning, match="torch.*OMP_WAIT_POLICY=PASSIVE"):
        settle_waiting()
    assert os.environ[WAIT_POLICY] == "PASSIVE", "processes that are started from here can still be told"
