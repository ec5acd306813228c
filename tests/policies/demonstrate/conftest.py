"""Another package's robot and task, installed for a test."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from isthmus_sim.registry import Registry
from isthmus_sim.robots import ROBOTS
from isthmus_sim.tasks import TASKS

ENTRY_POINTS = """
[isthmus.robots]
gantry = gantry:ROBOT

[isthmus.tasks]
gantry-reach = gantry:ENTRY
gantry-silent = gantry:SILENT_ENTRY
gantry-broken = gantry:BROKEN_ENTRY
gantry-wrong = gantry:WRONG_ENTRY
gantry-odd = gantry_odd:ENTRY
gantry-raising = gantry:RAISING_ENTRY
"""


def _forget(registry: Registry) -> None:
    registry.__dict__.pop("_points", None)
    registry._loaded.clear()


@pytest.fixture
def gantry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The package `gantry`, found as an installed one is; gone again after the test."""
    folder = tmp_path / "site-packages"
    (folder / "gantry-1.0.dist-info").mkdir(parents=True)
    (folder / "gantry-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: gantry\nVersion: 1.0\n")
    (folder / "gantry-1.0.dist-info/entry_points.txt").write_text(ENTRY_POINTS)
    shutil.copy(Path(__file__).with_name("gantry.py"), folder)
    (folder / "gantry_odd.py").write_text("ENTRY = SHOWN = 1 + 'one'")
    monkeypatch.syspath_prepend(folder)
    for registry in (ROBOTS, TASKS):
        _forget(registry)
    yield importlib.import_module("gantry")
    del sys.modules["gantry"]
    for registry in (ROBOTS, TASKS):
        _forget(registry)
