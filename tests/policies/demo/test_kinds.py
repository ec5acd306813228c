"""Every task whose entry names a mission can be demonstrated, another package's too; others say what they lack."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus_policies.demo.kinds import demo_kind, demo_tasks
from isthmus_policies.demo.options import parse
from isthmus_policies.demo.report.missions.flight import FLIGHT
from isthmus_policies.demo.report.missions.place import PLACE
from isthmus_policies.demo.report.missions.push import PUSH
from isthmus_policies.demo.report.missions.walk import WALK
from isthmus_sim.registry import RegistryError
from isthmus_sim.tasks import TASKS

MODULE = """
from dataclasses import replace
from isthmus_sim.tasks.entries import QUADRUPED
STROLL = replace(QUADRUPED, mission="isthmus_policies.demo.report.missions.walk:WALK")
BROKEN = replace(QUADRUPED, mission="no_such_module:KIND")
WRONG = replace(QUADRUPED, mission="math:pi")
RAISING = replace(QUADRUPED, mission="strange_mission:KIND")
"""
ENTRY_POINTS = """[isthmus.tasks]
stroll = stranger:STROLL
broken = stranger:BROKEN
wrong = stranger:WRONG
raising = stranger:RAISING
odd = strange_mission:ENTRY
"""


def _forget() -> None:
    TASKS.__dict__.pop("_points", None)
    TASKS._loaded.clear()


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another package's tasks, found as those of an installed one are."""
    about = tmp_path / "site-packages" / "stranger-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    (about.parent / "stranger.py").write_text(MODULE)
    (about.parent / "strange_mission.py").write_text("KIND = ENTRY = 1 + 'one'")
    monkeypatch.syspath_prepend(about.parent)
    _forget()
    yield
    sys.modules.pop("stranger", None)
    _forget()


@pytest.mark.parametrize(
    ("task", "kind", "trained"),
    [
        ("quadrotor", FLIGHT, "quadrotor-randomized"),
        ("quadruped", WALK, "quadruped"),
        ("quadruped-rough", WALK, "quadruped-rough"),
        ("biped", WALK, "biped"),
        ("push_t", PUSH, "push_t"),
        ("pick_place", PLACE, "pick_place-cameras"),
    ],
)
def test_a_task_is_demonstrated_as_its_entry_says(task: str, kind: object, trained: str):
    assert demo_kind(task) is kind
    assert demo_kind(task).trained(task) == trained
    assert task in demo_tasks()


@pytest.mark.usefixtures("stranger")
def test_another_packages_task_is_demonstrated_likewise():
    assert demo_kind("stroll") is WALK
    assert "stroll" in demo_tasks()
    assert not {"broken", "wrong", "raising", "odd"} & set(demo_tasks())
    choice, options = parse(["--task", "stroll", "--plan.speed", "0.3"])
    assert (choice.task, options.plan.speed, options.out) == ("stroll", 0.3, Path("runs/demo-stroll"))


@pytest.mark.usefixtures("stranger")
@pytest.mark.parametrize(
    ("task", "named"),
    [
        ("reach_cube", "'reach_cube' lacks a mission"),
        ("cat", "unknown task 'cat'"),
        ("broken", "stranger does not load from no_such_module:KIND"),
        ("raising", "'raising' of stranger does not load from strange_mission:KIND: TypeError: "),
        ("odd", "'odd' of stranger does not load from strange_mission:ENTRY: TypeError: "),
        ("wrong", "math:pi is a float"),
    ],
)
def test_a_task_without_a_mission_says_what_it_lacks(task: str, named: str):
    with pytest.raises(RegistryError) as refused:
        demo_kind(task)
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)
    assert all(name in str(refused.value) for name in ("quadrotor", "quadruped", "biped", "stroll"))
    if task in ("raising", "odd"):
        assert "mend stranger or uninstall it" in str(refused.value)
