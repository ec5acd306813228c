"""What is demonstrated with a run: the task that it was trained on, with the robot that it was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pusher_chunks import write_untrained_run

from isthmus_policies.demo.demo import _stand_in
from isthmus_policies.demo.options import parse
from isthmus_policies.demo.report.record import load_demo
from isthmus_policies.files import plain
from isthmus_policies.training.checkpoint import CHECKPOINT, save_checkpoint
from isthmus_policies.training.config import default_config
from isthmus_policies.training.worlds import robot_digest, robot_named
from isthmus_sim.models.user_robot import robot_of
from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf


@pytest.fixture
def rex(tmp_path: Path) -> Path:
    """A robot file of a user's, with its model beside it."""
    (tmp_path / "rex.xml").write_text(quadruped_mjcf())
    path = tmp_path / "rex.toml"
    path.write_text('name = "rex"\nbase = "quadruped"\nmodel = "rex.xml"\n')
    return path


# The task
# ---------------------------------------------------------------------------------------------------------------------
def trained_on(task: str, folder: Path) -> Path:
    """A run of the task, as far as the command line looks at it."""
    folder.mkdir()
    save_checkpoint(folder / CHECKPOINT, {}, {"config": plain(default_config(task))})
    return folder


@pytest.mark.parametrize(
    ("trained", "task"),
    [("biped", "biped"), ("quadrotor", "quadrotor"), ("quadrotor-randomized", "quadrotor")],
)
def test_a_run_is_demonstrated_on_its_task(tmp_path: Path, trained: str, task: str):
    run = trained_on(trained, tmp_path / "run")
    for arguments in ([], ["--task", task]):
        choice, options = parse([*arguments, "--run", str(run)])
        assert (choice.task, options.run) == (task, run)


@pytest.mark.parametrize(
    ("trained", "arguments", "told"),
    [
        (
            "quadruped",
            ["--task", "biped"],
            "was trained on the task 'quadruped', not on 'biped': choose another",
        ),
        ("quadruped", ["--task", "quadrotor"], "was trained on the task 'quadruped', not on 'quadrotor'"),
        ("reach_cube", [], "the task 'reach_cube' lacks a mission"),
    ],
)
def test_a_run_of_another_task_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trained: str, arguments: list[str], told: str
):
    run = trained_on(trained, tmp_path / "run")
    with pytest.raises(SystemExit) as ended:
        parse([*arguments, "--run", str(run)])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]


def test_a_run_that_the_demo_would_throw_away_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "demo").mkdir()
    run = trained_on("quadrotor", tmp_path / "demo" / "run")
    with pytest.raises(SystemExit):
        parse(["--run", str(run), "--out", str(tmp_path / "demo")])
    assert "which is emptied first: choose another --out" in capsys.readouterr().err.splitlines()[-1]


def test_a_run_of_chunks_is_demonstrated_on_what_it_was_tried_on_or_what_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    tried, untried = (write_untrained_run(tmp_path / str(task), "mip", task) for task in ("push_t", None))
    assert parse(["--run", str(tried)])[0].task == "push_t"
    assert parse(["--run", str(untried), "--task", "push_t"])[0].task == "push_t"
    with pytest.raises(SystemExit):
        parse(["--run", str(untried)])
    assert "say which one is meant, with --task" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--demonstrations", "nowhere"], "--demonstrations nowhere: there is nothing; leave it out"),
        (["--steps", "0"], "--steps must be at least 1, not 0"),
        (["--episodes", "1"], "--episodes must be at least 2, not 1"),
    ],
)
def test_what_a_policy_cannot_be_made_from_is_refused_at_once(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        parse(["--task", "push_t", *arguments])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]


def test_each_way_to_a_policy_has_its_own_options(capsys: pytest.CaptureFixture[str]):
    _, options = parse(["--task", "push_t", "--steps", "9", "--time-s", "7"])
    assert (options.making.steps, options.plan.duration_s) == (9, 7.0)
    _, options = parse(["--iterations", "3"])
    assert options.making.iterations == 3
    with pytest.raises(SystemExit):
        parse(["--task", "push_t", "--iterations", "3"])
    assert "--iterations" in "".join(capsys.readouterr())


def test_a_run_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parse(["--run", str(tmp_path / "none")])
    assert "no checkpoint at" in capsys.readouterr().err.splitlines()[-1]


# The robot
# ---------------------------------------------------------------------------------------------------------------------
def test_the_stand_in_is_the_tasks_robot_or_the_robot_file_that_was_trained(tmp_path: Path, leave_run, rex: Path):
    leave_run(tmp_path / "own", "quadrotor-randomized")
    assert _stand_in(tmp_path / "own") == "crazyflie"
    leave_run(tmp_path / "rex", "quadruped", robot=str(rex))
    assert _stand_in(tmp_path / "rex") == str(rex)


def test_the_stand_in_of_a_bare_model_is_the_robot_that_was_trained(tmp_path: Path, leave_run, rex: Path):
    model = str(rex.with_suffix(".xml"))
    leave_run(tmp_path / "out", "quadruped", robot=model)
    stand_in, _ = robot_of(_stand_in(tmp_path / "out"))
    trained = robot_named(model, "quadruped")
    assert (stand_in.name, robot_digest(stand_in)) == (trained.name, robot_digest(trained))


def test_the_robot_that_was_trained_is_filmed(tmp_path: Path, leave_run, rex: Path):
    leave_run(tmp_path, "quadruped", robot=str(rex))
    (tmp_path / "walk").mkdir()
    np.savez(tmp_path / "walk" / "walk.npz", time=np.arange(2.0))
    assert load_demo(tmp_path, "quadruped", "walk").description.name == "rex"
