"""What a policy did becomes a dataset that can be learned from: each world's own episode, and how it ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from pusher_chunks import write_untrained_run
from rich.console import Console

from isthmus_datasets.format.reader import DatasetReader
from isthmus_policies.evaluation.roll_out import Acted, Options, RollOut, chosen, record
from isthmus_policies.evaluation.runners import NetworkRunner, PolicyRunner
from isthmus_policies.evaluation.take_over import TakeOver
from isthmus_sim.engine import Commands
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env, Step
from isthmus_sim.robots import ROBOTS
from isthmus_sim.robots.pusher.description import ROBOT
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.push_t import PushT, PushTConfig

# The block is at its goal; the disc is far from it in the first world, and has pushed it away in the second.
GOAL = (256.0, 256.0, np.pi / 4)
STARTS = ((50.0, 50.0, *GOAL), (50.0, 60.0, 100.0, 100.0, 0.0))


class Waiting(PolicyRunner):
    """Says that the disc shall be where it is, a pixel to the right."""

    def __init__(self, env: Env) -> None:
        env.reset()

    def step(self, env: Env) -> Step:
        return env.step_commands({"target_position": env.signals["agent_position"] + torch.tensor([1.0, 0.0])})

    def restart(self, ids: torch.Tensor) -> None: ...


def acted(succeeded: bool) -> Acted:
    row = np.zeros((2, 1), np.float32)
    return Acted(readings=row, commands=row, succeeded=succeeded, truncated=not succeeded)


def test_each_world_gives_its_own_episode_to_its_own_end():
    task = PushT(ROBOT, PushTConfig(episode_steps=5, starts=STARTS))
    at_goal, away = RollOut(task=task, make_runner=Waiting, engine="mujoco", worlds=2).episodes(seed=0)
    assert (at_goal.succeeded, at_goal.truncated, len(at_goal.readings)) == (True, False, 1)
    assert (away.succeeded, away.truncated, len(away.readings)) == (False, True, 5)
    np.testing.assert_allclose(away.readings[0], STARTS[1], atol=1e-3)
    np.testing.assert_allclose(away.commands, away.readings[:, :2] + (1.0, 0.0), atol=1e-3)


def test_what_is_recorded_can_be_read(tmp_path: Path):
    run = write_untrained_run(tmp_path / "run", "flow")
    record(Options(run=run, dataset=tmp_path / "data", episodes=3, worlds=2), Console(quiet=True))
    reader = DatasetReader(tmp_path / "data")
    assert (reader.num_episodes, reader.info.fps, reader.info.robot_type) == (3, 10, "pusher")
    assert reader.info.features["observation.state"].shape == (5,)
    for row in reader.episodes:
        columns = reader.episode(row.index).columns
        ended = columns["next.done"] | columns["next.truncated"]
        assert ended.ravel().tolist() == [False] * (row.length - 1) + [True]
        assert np.isfinite(columns["observation.state"]).all()


def test_only_successes_are_kept_and_too_few_are_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    roll_out = RollOut(task=PushT(ROBOT, PushTConfig()), make_runner=Waiting, engine="mujoco", worlds=3)
    monkeypatch.setattr(RollOut, "episodes", lambda *_: [acted(True), acted(False), acted(True)])
    asked = Options(run=tmp_path, dataset=tmp_path, episodes=3, worlds=3, only_success=True, seed=7, most_rounds=2)
    kept = list(chosen(asked, roll_out))
    assert [seed for seed, _ in kept] == [7, 7, 8]
    assert all(each.succeeded for _, each in kept)
    with pytest.raises(ValueError, match="gave 0 of 3"):
        list(chosen(replace(asked, least=3), roll_out))
    monkeypatch.setattr(RollOut, "episodes", lambda *_: [acted(False)])
    with pytest.raises(ValueError, match="gave 0 of 3"):
        list(chosen(asked, roll_out))


class Constant(NetworkRunner):
    """A teacher that always does the same."""

    def __init__(self, action: float) -> None:
        self._action = action

    def action(self, env: Env) -> torch.Tensor:
        return torch.full((env.num_envs, env.task.action_size), self._action)

    def restart(self, ids: torch.Tensor) -> None: ...


class Asking:
    """A student that always asks for the same action, in commands."""

    def __init__(self, action: float) -> None:
        self._teacher = Constant(action)

    def commands(self, env: Env) -> Commands:
        return env.task.act(self._teacher.action(env), env.signals, env.memory)

    def restart(self, ids: torch.Tensor) -> None: ...


def taking_over(env: Env, student: float, teacher: float, latest: int) -> TakeOver:
    env.reset()
    return TakeOver(Constant(teacher), cast(Any, Asking(student)), env, latest)


def test_what_a_student_began_is_recorded_from_where_the_teacher_goes_on():
    task = PushT(ROBOT, PushTConfig(episode_steps=6, starts=(STARTS[1],)))
    roll_out = RollOut(task=task, make_runner=lambda env: taking_over(env, 0.5, -0.5, 6), engine="mujoco", worlds=16)
    begun = roll_out.episodes(seed=0)
    assert len({len(each.readings) for each in begun}) > 2, "the moment is drawn"
    for each in begun:
        np.testing.assert_allclose(each.commands, 128.0, atol=1e-3, err_msg="the teacher's")
        moved = np.linalg.norm(each.readings[0, :2] - STARTS[1][:2])
        assert (moved > 1.0) == (len(each.readings) < 6), "the student had moved the disc before"


def test_the_teachers_memory_is_as_if_it_had_acted():
    """The target of the arm that reaches for a cube goes where the student's commands were."""
    task = make_task("reach_cube", robot=ROBOTS["so101"])
    env = Env(task, make_engine(task.scene, 2, "mujoco"), seed=0)
    runner = taking_over(env, 0.25, -1.0, 1_000_000)
    for _ in range(4):
        step = runner.step(env)
    home = torch.tensor(task.robot.default_pose)
    torch.testing.assert_close(env.memory["target"], step.commands["joint_position_target"] - home)
    torch.testing.assert_close(env.memory["target"][:, 0], torch.full((2,), 4 * 0.25 * 1.5 / 30))
    env.close()
