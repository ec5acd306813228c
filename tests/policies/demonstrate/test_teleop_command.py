"""`isthmus-teleop` without a browser: who else drives, how it ends, what it refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus_datasets.recording.operator import Event
from isthmus_datasets.recording.outcome import Outcome, UnsavedError
from isthmus_datasets.recording.recorder import Recorder
from isthmus_datasets.recording.robot_columns import open_dataset
from isthmus_datasets.teleop.page import Page
from isthmus_policies.demonstrate import teleop
from isthmus_policies.demonstrate.demonstration import find_demonstration
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.demonstrate.record import main as record
from isthmus_policies.demonstrate.session import Session, outcome_message
from isthmus_policies.demonstrate.teleop import main, make_page
from isthmus_policies.files import write_json
from isthmus_policies.training.config import default_config
from isthmus_sim.tasks import make_task

TIMEOUT_S = 60


@pytest.mark.parametrize("task", ["push_t", "pick_place", "pick_place-randomized"])
def test_what_is_teleoperated_can_be_guided_and_shown(task: str):
    """The guide's action keeps the robot where it is; the page's model has the engine's joints."""
    how = find_demonstration(task, "guide", "view")
    assert how.guide is not None
    with closing(EnvRobot(make_task(task))) as robot:
        robot.reset(0)
        guide = how.guide(robot, round(1 / make_task(task).robot.control_period_s))
        guide.reset(robot.observe())
        action = guide.action(robot.observe())
        assert action.shape == robot.features.action.shape
        np.testing.assert_allclose(robot.act(action), action, atol=1e-5)
        model = how.model(robot)
        assert (model.nq, model.nmocap) == (len(robot.qpos), len(robot.mocap))


def test_ctrl_c_ends_it_cleanly(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "isthmus_policies.demonstrate.teleop",
        "push_t",
        str(tmp_path / "d"),
        "--no-open",
        "--port",
        "0",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert any(line.startswith("open http://127.0.0.1:") for line in process.stdout)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: every process of the group gets it
        output, errors = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, "")
    assert "0 episodes saved" in output


def test_ctrl_c_before_the_page_is_there_ends_it_cleanly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupted(*arguments: Any, **keywords: Any) -> Page:
        os.kill(os.getpid(), signal.SIGINT)
        return make_page(*arguments, **keywords)

    monkeypatch.setattr(teleop, "make_page", interrupted)
    with pytest.raises(SystemExit) as end:
        main(["push_t", str(tmp_path / "d"), "--no-open", "--port", "0"])
    assert end.value.code == 0
    assert "0 episodes saved" in capsys.readouterr().out


def test_a_task_that_nobody_can_do_by_hand_is_refused(tmp_path: Path):
    with pytest.raises(SystemExit, match=r"isthmus-teleop: the task 'quadrotor' has no demonstration .*push_t"):
        main(["quadrotor", str(tmp_path / "d")])


def test_a_dataset_of_another_robot_is_refused_and_left_alone(tmp_path: Path):
    with closing(EnvRobot(make_task("push_t"))) as robot, open_dataset(tmp_path / "d", robot.features, fps=10):
        pass  # without the camera
    before = (tmp_path / "d/meta/info.json").read_bytes()
    with pytest.raises(SystemExit, match=r"isthmus-teleop: .*d is not of this robot: .*scene"):
        main(["push_t", str(tmp_path / "d"), "--no-open", "--port", "0"])
    assert (tmp_path / "d/meta/info.json").read_bytes() == before


def test_a_dataset_is_gone_on_with_by_starts_that_it_does_not_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    record(["push_t", str(tmp_path / "d"), "--episodes", "2", "--seed", "5"])
    seeds = []
    monkeypatch.setattr(Session, "run", lambda self, seed, wanted: seeds.append(seed))
    for chosen in ([], ["--seed", "3"]):
        with pytest.raises(SystemExit):
            main(["push_t", str(tmp_path / "d"), "--no-open", "--port", "0", *chosen])
    assert seeds == [7, 3]


def test_a_device_that_is_not_there_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(SystemExit, match=r"isthmus-teleop: keyboard: .*no terminal"):
            main(["push_t", str(tmp_path / "d"), "--no-open", "--port", "0", "--device", "keyboard"])


def test_an_episode_that_finds_no_room_to_the_end_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: Any) -> None:
        raise UnsavedError("it waits in DATASET/.unsaved")

    monkeypatch.setattr(Recorder, "save_again", full)
    monkeypatch.setattr(Session, "run", lambda self, seed, wanted: None)
    with pytest.raises(SystemExit, match="isthmus-teleop: it waits in DATASET"):
        main(["push_t", str(tmp_path / "d"), "--no-open", "--port", "0"])


def test_what_is_said_of_an_episode():
    lost = Outcome(index=None, steps=9, event=Event.DISCARD, reason="episode 4 was discarded after 9 steps")
    assert outcome_message(lost, "the page was closed") == "episode 4 was discarded after 9 steps: the page was closed"
    assert outcome_message(Outcome(index=4, steps=9, event=Event.SUCCESS), "") == "episode 4 saved: 9 steps, success"


def test_only_a_run_that_learns_this_task_learns(tmp_path: Path):
    exchange = tmp_path / "exchange"
    for name, algorithm in (("ppo", "ppo"), ("learning", "sac-robot")):
        config = default_config("push_t", algorithm=algorithm)
        if algorithm == "sac-robot":
            config = replace(config, algorithm=replace(config.algorithm, exchange=exchange))
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "config.json", config)
    for arguments, message in (
        (["push_t", "--learn", "nowhere"], "no run in nowhere: start its learner first"),
        (["push_t", "--learn", str(tmp_path / "ppo")], "learned by 'ppo'"),
        (["pick_place", "--learn", str(tmp_path / "learning")], "learns the task 'push_t', not 'pick_place'"),
        (["push_t", "--learn", str(tmp_path / "learning"), "--policy", "script"], "leave --policy out"),
        (["push_t", "--learn", str(tmp_path / "learning")], "policy is not there: start the learner first"),
    ):
        with pytest.raises(SystemExit, match=message):
            main([arguments[0], str(tmp_path / "data"), "--no-open", "--port", "0", *arguments[1:]])
