"""What a task's entry points to, in another package too: it is recorded without an edit here; what lacks is said."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.tools.checks.suite import run_checks
from isthmus_datasets.tools.scan.gather import gather
from isthmus_policies.demonstrate import record, teleop
from isthmus_policies.demonstrate.demonstration import demonstrated_tasks, find_demonstration
from isthmus_sim.registry import RegistryError


def test_another_packages_task_is_recorded(gantry: ModuleType, tmp_path: Path):
    """Two commands, the robot's own camera; asked is the goal at once, sent what the rates allow."""
    record.main(["gantry-reach", str(tmp_path / "set"), "--episodes", "2", "--seed", "4"])
    assert [finding for finding in run_checks(gather(tmp_path / "set")) if finding.severity == "error"] == []
    reader = DatasetReader(tmp_path / "set")
    assert (reader.info.robot_type, reader.info.fps, reader.num_episodes) == ("gantry", 20, 2)
    assert {row.tasks for row in reader.episodes} == {("go there",)}, "the task's summary"
    assert all(row.facts["success"] is True for row in reader.episodes)
    columns = reader.columns(0)
    assert reader.info.features["action"].names == ("x", "y")
    goal = [value for target in gantry.GOAL.values() for value in target]
    np.testing.assert_allclose(columns["action"], np.tile(goal, (len(columns["action"]), 1)), atol=1e-6)
    steps = np.abs(np.diff(columns["sent_action"], axis=0, prepend=0.0))
    assert steps.max() == pytest.approx(gantry.RATE * gantry.PERIOD, abs=1e-6)
    np.testing.assert_allclose(columns["sent_action"][:3, 0], (0.05, 0.1, 0.15), atol=1e-6)
    assert len(reader.frames(0, "observation.images.eye")) == len(columns["action"])


def test_an_episode_that_fails_ends_there_and_is_told(
    gantry: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """The goal is off the rails in every other episode."""
    good, goal, starts = gantry.GOAL, dict(gantry.GOAL), []
    monkeypatch.setattr(gantry, "GOAL", goal)

    def reset(self: object, seed: int) -> None:
        starts.append(seed)
        goal.update({"x_target": (0.5,)} if seed % 2 else good)
        super(gantry.GoThere, self).reset(seed)

    monkeypatch.setattr(gantry.GoThere, "reset", reset)
    record.main(["gantry-reach", str(tmp_path / "set"), "--episodes", "3", "--seed", "6"])
    assert starts[-3:] == [6, 7, 8]
    reader = DatasetReader(tmp_path / "set")
    told = [(row.facts["seed"], row.facts["ending"], row.facts["success"]) for row in reader.episodes]
    assert told == [(6, "success", True), (7, "failure", False), (8, "success", True)]
    assert [bool(reader.columns(i)["next.done"][-1]) for i in range(3)] == [True] * 3
    assert not reader.columns(1)["next.truncated"].any()
    assert "3 episodes more" in (said := " ".join(capsys.readouterr().out.split()))
    assert "2 ended by success, 1 ended by failure" in said


def test_help_lists_what_can_be_demonstrated(gantry: ModuleType, capsys: pytest.CaptureFixture[str]):
    for command, lists, lacks in (
        (record, ("push_t", "pick_place-randomized", "gantry-reach"), ("quadrotor", "gantry-silent", "gantry-broken")),
        (teleop, ("push_t", "pick_place-randomized"), ("quadrotor", "gantry-reach")),
    ):
        with pytest.raises(SystemExit):
            command.main(["--help"])
        told = capsys.readouterr().out
        assert all(name in told for name in lists)
        assert not any(name in told for name in lacks)


@pytest.mark.parametrize(
    ("task", "lacks"),
    [
        ("nonsense", "unknown task 'nonsense'"),
        ("quadrotor", "the task 'quadrotor' has no demonstration"),
        ("gantry-silent", "the demonstration of the task 'gantry-silent' has no script"),
        ("gantry-broken", r"'gantry-broken' of gantry does not load from gantry:MISSING"),
        ("gantry-raising", r"'gantry-raising' of gantry does not load from gantry_odd:SHOWN: TypeError: .*mend gantry"),
        ("gantry-odd", r"'gantry-odd' of gantry does not load from gantry_odd:ENTRY: TypeError: .*mend gantry"),
        ("gantry-wrong", r"'gantry-wrong' of gantry: gantry:ROBOT is a RobotDescription, it must be a Demonstration"),
    ],
)
def test_a_task_without_one_is_refused_with_what_it_lacks(gantry: ModuleType, tmp_path: Path, task: str, lacks: str):
    with pytest.raises(SystemExit, match=rf"isthmus-record: .*{lacks}") as refused:
        record.main([task, str(tmp_path / "set")])
    assert "\n" not in str(refused.value)
    assert "push_t" in str(refused.value), "those that can be had"
    assert not (tmp_path / "set").exists()


def test_a_page_needs_more_than_a_script(gantry: ModuleType, tmp_path: Path):
    with pytest.raises(SystemExit, match=r"'gantry-reach' has no view and no guide; .*pick_place, .*push_t"):
        teleop.main(["gantry-reach", str(tmp_path / "set"), "--no-open", "--port", "0"])


def test_the_projects_own(gantry: ModuleType):
    own = ["peg", "pick_place", "pick_place-randomized", "push_t"]
    assert sorted(demonstrated_tasks("script", "view", "guide")) == own
    assert sorted(demonstrated_tasks("script")) == ["gantry-reach", *own]
    assert find_demonstration("push_t").words == "push the T into its goal"
    assert find_demonstration("gantry-silent").words == "nobody shows it"
    assert find_demonstration("quadrotor").words == "hold a position by direct motor commands"
    with pytest.raises(RegistryError, match="quadrotor"):
        find_demonstration("quadrotor", "script")
