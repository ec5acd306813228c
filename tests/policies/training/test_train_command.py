"""`isthmus-train` as a person runs it: real processes, real signals."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from isthmus_deploy.timing.machine_load import MachineLoad
from isthmus_policies.files import plain
from isthmus_policies.networks.gru import GruConfig
from isthmus_policies.networks.policy import POLICIES
from isthmus_policies.training import train
from isthmus_policies.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from isthmus_policies.training.config import TrainConfig, config_from_json, default_config
from isthmus_policies.training.logs import read_metrics
from isthmus_policies.training.options import parse
from isthmus_policies.training.run import load_run
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.sensors import SensorModel
from isthmus_sim.tasks.velocity_config import VelocityConfig

COMMAND = str(Path(sys.executable).with_name("isthmus-train"))
SMALL = "quadrotor --num-envs 32 --iterations 60 --checkpoint-every 10 --algorithm.num-steps 8 --algorithm.epochs 1"
SMALL = [*SMALL.split(), "--policy.actor", "8", "--policy.critic", "8"]


def on_one_core() -> None:
    """Two threads that wait for each other on busy cores would take minutes."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=120, preexec_fn=on_one_core,
    )  # fmt: skip


def interrupted(folder: Path, number: signal.Signals, after_rows: int) -> tuple[int, str]:
    """Start a run, send a signal once its log has some rows; the exit status and what it printed."""
    process = subprocess.Popen(
        [COMMAND, *SMALL, "--run", str(folder)], stdout=subprocess.PIPE, text=True, preexec_fn=on_one_core
    )
    deadline = time.monotonic() + 60
    while len(read_metrics(folder)) < after_rows:
        assert time.monotonic() < deadline
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"it ended by itself, with {process.wait(timeout=0.02)}")
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / CHECKPOINT)[0]


def test_a_run_stopped_by_ctrl_c_and_resumed_is_the_uninterrupted_run(tmp_path: Path):
    whole = command(*SMALL, "--run", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    folder = tmp_path / "stopped"
    status, output = interrupted(folder, signal.SIGINT, after_rows=3)
    assert status == 130
    stopped_at = load_checkpoint(folder / CHECKPOINT)[1]["iteration"]
    assert 3 <= stopped_at < 60
    assert f"stopped at iteration {stopped_at}" in output
    assert len(read_metrics(folder)) == stopped_at
    load_run(folder)

    resumed = command("quadrotor", "--run", folder, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    expected, found = tensors_of(tmp_path / "whole"), tensors_of(folder)
    assert set(found) == set(expected)
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []
    rows, again = read_metrics(tmp_path / "whole"), read_metrics(folder)
    assert len(rows) == 60
    assert [r | {"seconds": 0} for r in again] == [r | {"seconds": 0} for r in rows]

    config = config_from_json(json.loads((folder / "config.json").read_text()))
    assert (config.num_envs, config.algorithm.num_steps) == (32, 8)
    assert list((folder / "tensorboard").glob("events.out.tfevents.*"))


def test_kill_9_loses_no_more_than_the_rows_since_the_last_checkpoint(tmp_path: Path):
    folder = tmp_path / "killed"
    status, _ = interrupted(folder, signal.SIGKILL, after_rows=22)
    assert status == -signal.SIGKILL
    iteration = load_checkpoint(folder / CHECKPOINT)[1]["iteration"]
    assert iteration >= 20
    assert iteration % 10 == 0
    assert len(read_metrics(folder)) >= iteration


def test_a_disk_that_is_full_ends_the_run_with_the_reason(tmp_path: Path):
    """Files may not grow beyond 40 kB: the log's do, the first checkpoint does not fit."""
    script = "import resource, sys; from isthmus_policies.training.train import main; " + (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)); main()"
    )
    arguments = [*SMALL, "--iterations", "2", "--run", str(tmp_path / "run")]
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True, text=True, check=False, timeout=60, preexec_fn=on_one_core,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.startswith("isthmus-train: "), result.stderr
    assert "could not write" in result.stderr
    assert CHECKPOINT in result.stderr
    assert list((tmp_path / "run").glob("*.partial")) == []


def test_a_wrong_task_ends_the_command_with_the_right_ones(tmp_path: Path):
    result = command("quadrotr")
    assert result.returncode == 2
    for told in ("quadrotr", "'quadrotor'", "'quadruped'"):
        assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == [], "nothing was begun"


# The same command in this process: starting Python and torch takes two seconds
# ---------------------------------------------------------------------------------------------------------------------
def main(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> str | int | None:
    """How `isthmus-train ARGUMENTS` ends."""
    monkeypatch.setattr(sys, "argv", ["isthmus-train", *map(str, arguments)])
    monkeypatch.setattr(train, "use_thread_budget", lambda: None)
    with pytest.raises(SystemExit) as end:
        train.main()
    return end.value.code


def test_every_part_is_configured_on_the_command_line():
    """Task, policy and algorithm take options; what is not said is as the task asks."""
    line = "quadruped --task.reward.velocity 4 --task.friction 0.2 1.5 --policy gru --policy.units 32"
    config = parse([*line.split(), "--algorithm.num-steps", "12", "--num-envs", "64"]).config
    assert (config.name, config.policy_name, config.num_envs, config.iterations) == ("quadruped", "gru", 64, 900)
    assert (config.task.reward.velocity, config.task.friction) == (4.0, (0.2, 1.5))
    assert isinstance(config.policy, GruConfig)
    assert (config.policy.units, config.policy.activation) == (32, "elu")
    assert (config.algorithm.num_steps, config.algorithm.lam) == (12, 0.95)


def test_every_sensor_of_the_robot_can_be_told_of():
    """Also those of which the task's configuration says nothing."""
    imu = "--task.sensors.imu.rate-hz 200 --task.sensors.imu.jitter-s 0.001"
    task = parse(["quadruped", *imu.split(), "--task.noise.joint-position.bias", "0"]).config.task
    assert task.sensors == {"imu": SensorModel(rate_hz=200.0, jitter_s=0.001)}
    assert task.noise["joint_position"].bias == 0.0
    assert task.noise["joint_velocity"] == VelocityConfig().noise["joint_velocity"]
    assert parse(["quadruped"]).config == default_config("quadruped"), "entries that say nothing are left out"


def test_a_robot_file_is_found_from_other_folders_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_dog.toml").touch()
    (tmp_path / "biped").touch()  # a file of a registered robot's name is not meant
    for said, robot in (
        ("my_dog.toml", str(tmp_path / "my_dog.toml")),
        (str(tmp_path / "my_dog.toml"), str(tmp_path / "my_dog.toml")),
        ("biped", "biped"),
        ("menagerie:unitree_go2", "menagerie:unitree_go2"),
        ("none.toml", "none.toml"),
    ):
        assert parse(["quadruped", "--robot", said]).config.robot == robot
    assert parse(["quadruped", "--model", "my_dog.toml"]).config.robot == str(tmp_path / "my_dog.toml")


@pytest.mark.parametrize(
    ("stored", "said"), [("dog.toml", "dog.toml"), ("dog.toml", None), ("{here}/dog.toml", "dog.toml")]
)
def test_a_run_goes_on_with_the_robot_as_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: str, said: str | None
):
    """Runs from before paths were absolute too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dog.toml").touch()
    stored = stored.format(here=tmp_path)
    config = dataclasses.replace(default_config("quadruped"), robot=stored)
    save_checkpoint(tmp_path / CHECKPOINT, {}, {"config": plain(config)})
    arguments = ["quadruped", "--resume", "--run", str(tmp_path), *(["--robot", said] if said else [])]
    assert parse(arguments).config.robot == stored


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("quadruped --task quadrotor", "the task is the first argument: isthmus-train quadrotor"),
        ("quadrotor --policy transformer", "--policy: invalid choice: 'transformer' (choose from '"),
        ("quadrotor --algorithm trpo", "--algorithm: invalid choice: 'trpo' (choose from 'ppo'"),
        ("quadrotor --num-env 3", "--num-envs"),
        ("quadrotor --task.frction 1", "--task.frction"),
        ("quadrotor --policy.units 3", "--policy.units"),
        ("quadruped --task.history 0", "history must be at least 1"),
        ("", "the following arguments are required: TASK"),
    ],
)
def test_a_wrong_name_or_option_ends_it_with_the_right_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: str, told: str
):
    assert main(monkeypatch, *arguments.split()) == 2
    assert told in " ".join(capsys.readouterr().err.replace("│", "").split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("quadrotor --engine bullet", "unknown engine 'bullet'; there are: "),
        ("quadrotor --robot dog", "unknown robot 'dog'; there are: "),
        ("quadrotor --num-envs 0", "num_envs must be at least 1, got 0"),
        ("quadrotor --policy.actor-groups image", "policy 'mlp': unknown observation group 'image'"),
        ("quadrotor-figure-eight-10s", "'quadrotor-figure-eight-10s' is there to judge policies on"),
        ("quadrotor --algorithm.symmetry", "no mirror image of 'actor'; train it without symmetry"),
    ],
)
def test_what_cannot_be_trained_ends_it_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: str, told: str
):
    end = str(main(monkeypatch, *arguments.split()))
    assert end.startswith("isthmus-train: ")
    assert told in end
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_not_overwritten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("keep me")
    end = main(monkeypatch, "quadrotor", "--run", tmp_path / "run")
    assert end == f"isthmus-train: {tmp_path / 'run'} is not empty; choose another --run, or go on with it: --resume"
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_resume_needs_a_run_with_a_checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert "--resume needs --run FOLDER" in str(main(monkeypatch, "quadrotor", "--resume"))
    assert "no checkpoint at" in str(main(monkeypatch, "quadrotor", "--resume", "--run", tmp_path / "none"))
    (tmp_path / CHECKPOINT).write_bytes(b"half of one")
    assert "not a whole safetensors file" in str(main(monkeypatch, "quadrotor", "--resume", "--run", tmp_path))


def test_a_finished_run_is_trained_longer_and_nothing_else_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    """What the run was begun with need not be said again; it may be."""
    folder = tmp_path / "run"
    monkeypatch.setattr(sys, "argv", ["isthmus-train", *SMALL, "--iterations", "2", "--run", str(folder)])
    monkeypatch.setattr(train, "use_thread_budget", lambda: None)
    train.main()
    monkeypatch.setattr(sys, "argv", ["isthmus-train", *SMALL, "--iterations", "3", "--run", str(folder), "--resume"])
    train.main()
    assert [row["iteration"] for row in read_metrics(folder)] == [0, 1, 2]
    config = config_from_json(json.loads((folder / "config.json").read_text()))
    assert (config.iterations, config.num_envs) == (3, 32)
    assert "note: torch" not in capsys.readouterr().out

    end = str(main(monkeypatch, "quadrotor", "--run", folder, "--resume", "--seed", "4", "--task.history", "9"))
    for told in ("seed (0 to 4)", "task.history (32 to 9)", "it can change: iterations, checkpoint_every"):
        assert told in end
    assert "is a run of policy 'mlp', not 'gru'" in str(
        main(monkeypatch, "quadrotor", "--run", folder, "--resume", "--policy", "gru")
    )
    assert "is a run of the task 'quadrotor', not 'quadruped'" in str(
        main(monkeypatch, "quadruped", "--run", folder, "--resume")
    )


def test_another_number_of_threads_is_said_once(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    tensors, facts = load_checkpoint(run_folder / CHECKPOINT)
    save_checkpoint(tmp_path / CHECKPOINT, tensors, facts | {"threads": 7})
    monkeypatch.setattr(sys, "argv", ["isthmus-train", "quadrotor", "--run", str(tmp_path), "--resume"])
    monkeypatch.setattr(train, "use_thread_budget", lambda: None)
    train.main()
    assert " ".join(capsys.readouterr().out.split()).count("torch had 7 threads and has 1 now") == 1


def test_help_lists_every_option(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert main(monkeypatch, "quadrotor", "--help") == 0
    text = capsys.readouterr().out
    config = parse(["quadrotor"]).config
    fixed = ("name", "policy_name", "algorithm_name", "task", "policy", "algorithm")
    names = [name for name in TrainConfig.__dataclass_fields__ if name not in fixed]
    names += [f"policy.{name}" for name in vars(config.policy)] + [
        f"algorithm.{name}" for name in vars(config.algorithm)
    ]
    names += ["task.history", "task.reward.position.start", "task.noise.position.noise"]
    assert [name for name in names if f"--{name.replace('_', '-')}" not in text] == []
    assert "--policy-name" not in text
    for told in (f"{', '.join(POLICIES)} (here mlp)", "--algorithm among ppo"):
        assert told in " ".join(text.split())


@pytest.mark.parametrize(("others", "times"), [(0.0, 0), (3.0, 1)])
def test_a_busy_machine_is_said_once(
    small: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, others: float, times: int
):
    monkeypatch.setattr(train, "machine_load", lambda **_: MachineLoad(others=others, cores=2))
    said = io.StringIO()
    assert train.train(Trainer(small(num_envs=8, iterations=2)), tmp_path, Console(file=said))
    assert said.getvalue().count("this machine is busy") == times


def test_the_signal_handlers_are_given_back():
    """A program that trains and then does something else keeps its Ctrl-C."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with train.StopRequest() as stop:
        assert not stop.asked
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)  # asked twice: at once
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
