"""Actor and learner as processes of their own: each is killed, and what was done is still there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from isthmus_policies.actor_learner.experience import Experience
from isthmus_policies.actor_learner.learning_run import LearningRun
from isthmus_policies.export.export import export_run

pytestmark = pytest.mark.long

LEARN = (
    "isthmus_policies.training.train", "push_t", "--algorithm", "sac-robot", "--algorithm.exchange", "exchange",
    "--run", "run", "--algorithm.warm-up", "50", "--algorithm.patience-s", "0.2", "--checkpoint-every", "2",
    "--policy.actor", "8", "--policy.critic", "8", "--algorithm.batch-size", "16",
)  # fmt: skip
ACT = ("isthmus_policies.actor_learner.command", "run", "data", "--no-real-time", "--patience-s", "120")
WAIT_S = 120


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def launch(*command: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", *command], cwd=tmp_path, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
        )  # fmt: skip
        return started[-1]

    yield launch
    for process in started:
        process.kill()
        process.wait()


def wait_for(what: str, condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + WAIT_S
    while not condition():
        if process.poll() is not None:
            assert process.stdout is not None
            raise AssertionError(f"{what}: the process ended with {process.returncode}: {process.stdout.read()}")
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not within {WAIT_S} s")


def test_both_are_killed_and_go_on(start: Callable[..., subprocess.Popen[str]], tmp_path: Path):
    folder = tmp_path / "run"
    learner = start(*LEARN)
    wait_for("the learner's files", lambda: (folder / "config.json").exists(), learner)
    wait_for("the exchange", lambda: (tmp_path / "exchange" / "experience").exists(), learner)
    actor = start(*ACT)
    run = LearningRun.of(folder)
    groups = {"actor": run.task.groups["actor"]}
    experience = Experience(tmp_path / "exchange", run.task, groups, 100_000, make=False, write=False)
    wait_for("transitions", lambda: len(experience) > 200, actor)
    wait_for("a checkpoint", lambda: (folder / "checkpoint.safetensors").exists(), learner)

    learner.send_signal(signal.SIGKILL)
    learner.wait()
    there = len(experience)
    wait_for("an actor that goes on without its learner", lambda: len(experience) > there + 50, actor)
    actor.send_signal(signal.SIGKILL)
    actor.wait()
    done = len(experience)
    rows = experience.read(0, 100_000)
    assert len(rows) == done
    assert rows["number"].tolist() == list(range(done))
    within = ~rows["first"][1:]
    assert (rows["before"]["actor"][1:][within] == rows["after"]["actor"][:-1][within]).all()

    learner, actor = start(*LEARN, "--resume"), start(*ACT)
    wait_for("more transitions", lambda: len(experience) > done + 200, actor)
    received = "robot/transitions"
    metrics = folder / "metrics.csv"

    def taken_in() -> float:
        lines = metrics.read_text().splitlines()
        return float(dict(zip(lines[0].split(","), lines[-1].split(","), strict=True)).get(received) or 0)

    wait_for("a learner that has taken in all of it", lambda: taken_in() > done, learner)
    rows = experience.read(0, 100_000)
    assert rows["first"][done], "the episode of the actor that was killed does not go on"
    actor.send_signal(signal.SIGINT)
    learner.send_signal(signal.SIGINT)
    assert actor.wait(WAIT_S) == 0
    assert learner.wait(WAIT_S) == 130
    episodes = json.loads((tmp_path / "data" / "meta" / "info.json").read_text())["total_episodes"]
    assert episodes >= int(np.count_nonzero(rows["first"][done:])) - 1
    assert export_run(folder, episodes=8)[0].exists()
