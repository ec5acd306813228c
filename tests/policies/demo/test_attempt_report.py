"""The report of an attempt at a task: what was learned from, what the student kept, how far the task came."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from isthmus_deploy.ros.missions.attempt import Attempt, AttemptPlan, Options
from isthmus_deploy.ros.missions.log import MissionLog, Series
from isthmus_deploy.ros.stand_in_robot.task_record import TaskRecord
from isthmus_deploy.ros.truth import Truth
from isthmus_policies.chunks.training.roll_outs import COLUMNS
from isthmus_policies.demo.report.headlines import facts
from isthmus_policies.demo.report.missions.push import PUSH
from isthmus_policies.demo.report.page import page, write_report
from isthmus_policies.demo.report.record import load_demo
from isthmus_policies.files import plain

ZERO_S = 500.0
"""When the mission begins, by the machine's clock."""


def write_attempt(folder: Path, done_s: float | None) -> None:
    """A robot that covers a tenth of the goal more every second, and is done then, or never."""
    mission = Attempt(Options(plan=AttemptPlan(time_s=12.0)))
    sent = Series(order=("x", "y"))
    log, things = MissionLog(asked={}, zero_s=ZERO_S, commands={"target_position": sent}), TaskRecord()
    mission.begin(Truth())
    for time_s in np.arange(-1.0, 12.2, 0.1).tolist():
        mission.succeeded = done_s is not None and time_s >= done_s
        log.truth.append((ZERO_S + time_s, *np.zeros(3), 1.0, *np.zeros(9)))
        sent.samples.append((ZERO_S + time_s + 0.001, 100.0, 100.0))
        state = {"agent_position": np.zeros(2), "block_joint_position": np.zeros(3)}
        things.add(ZERO_S + time_s, state, {"coverage": min(1.0, 0.1 * max(time_s, 0.0))})
        if time_s >= 0.0 and mission.ask(time_s, Truth()) is None:
            break
    judged = mission.judge(log, Truth())
    log.save(
        folder / "attempt", "attempt", {"success": not judged.failures, "failures": judged.failures, **judged.facts}
    )
    things.save(folder / "robot.npz")


def write_metrics(folder: Path, success: float) -> None:
    folder.mkdir(exist_ok=True)
    head = ",".join(("iteration", "steps", "seconds", "loss", "validation", *COLUMNS))
    rows = ("99,100,2.5,0.4,,,,", f"199,200,5,0.3,0.35,{success},{success - 0.1},{success + 0.1}")
    (folder / "metrics.csv").write_text("\n".join((head, *rows)) + "\n")


@pytest.fixture
def folder(tmp_path: Path, leave_run, leave_timing) -> Path:
    """What a demo left whose attempt succeeded."""
    leave_run(tmp_path, "push_t")
    write_metrics(tmp_path / "teacher", 0.8)
    write_metrics(tmp_path / "run", 0.6)
    write_attempt(tmp_path, 9.55)
    leave_timing(tmp_path, parameters={})
    found = {
        "folder": "d", "given": "my/pushes.zarr", "told": "imported from pushes.zarr", "episodes": 206, "steps": 24000,
        "fps": 10, "succeeded": None,
    }  # fmt: skip
    options = {**plain(PUSH.making.options), "demonstrations": "my/pushes.zarr", "student_steps": 200}
    (tmp_path / "made.json").write_text(json.dumps({"demonstrations": found, "options": options}))
    (tmp_path / "export.log").write_text("compiling\n  replayed 84 recorded chunks with 5 resets: worst error 1e-7\n")
    return tmp_path


def test_the_page_is_self_contained_and_well_formed(folder: Path, check_page):
    path = write_report(load_demo(folder, "push_t", "attempt"), PUSH)
    check_page(path.read_text(), plots=3)


def test_the_page_says_what_was_learned_kept_and_done(folder: Path):
    demo = load_demo(folder, "push_t", "attempt")
    text = page(demo, PUSH).replace("\u00a0", " ")
    told = {fact.label: (fact.value, fact.detail) for fact in facts(demo, PUSH)}
    assert told["Demonstrations"] == ("206 episodes", "imported from pushes.zarr, 40 min")
    assert told["Training"] == ("10.0 s", "teacher 200 steps, student 200 steps")
    assert told["Kept by the student"][0] == "75 %"
    assert "80 % (95 %: 70 to 90 %), the student in 60 %" in told["Kept by the student"][1]
    value, detail = told["The task, over ROS 2"]
    assert value == "done after 9.6 s"
    assert detail == "asked for within 12 s; coverage 96 % of the goal at best"
    assert "The attempt succeeded" in text
    assert "replayed 84 recorded chunks with 5 resets" in text
    assert (
        'make demo TASK=push_t ARGS="--seed 4 --robot-seed 7 --demonstrations my/pushes.zarr --student-steps 200"'
        in text
    )


def test_a_failed_attempt_with_a_policy_from_elsewhere_says_what_is_not_known(folder: Path, check_page):
    write_attempt(folder, None)
    for name in ("made.json", "teacher/metrics.csv", "run/metrics.csv", "robot.npz"):
        (folder / name).unlink()
    demo = load_demo(folder, "push_t", "attempt")
    text = page(demo, PUSH)
    check_page(text, plots=1)
    assert "The attempt failed: not done after 12." in text
    assert "The stand-in kept no record of it." in text
    told = {fact.label: fact.value for fact in facts(demo, PUSH)}
    assert told["Kept by the student"] == "not known"
    assert told["The task, over ROS 2"] == "not done"


def test_a_teacher_that_never_succeeds_leaves_nothing_to_keep(folder: Path):
    write_metrics(folder / "teacher", 0.0)
    told = {fact.label: fact.value for fact in facts(load_demo(folder, "push_t", "attempt"), PUSH)}
    assert told["Kept by the student"] == "nothing to keep"
