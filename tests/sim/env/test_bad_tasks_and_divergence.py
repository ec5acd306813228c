"""A task that breaks its word is refused; a world that diverges is reset, counted and, if asked, kept."""

from __future__ import annotations

import pytest
import torch
from beads import Bead, Line, beads, near, pushed

from isthmus_sim.env import Env
from isthmus_sim.sensors import SensorModel


@pytest.mark.parametrize(
    ("function", "wrong", "names"),
    [
        ("observe", {"actor": torch.zeros(2, 5)}, "actor float32[5]"),
        ("observe", {"actor": torch.zeros(2, 2), "image": torch.zeros(2, 3)}, "image"),
        ("observe", {"actor": torch.zeros(2, 2, dtype=torch.float64)}, "actor float64"),
        ("act", {"pull": torch.zeros(2, 1)}, "pull"),
        ("act", {}, "nothing"),
        ("sense", {"place": torch.zeros(2, 1)}, "target float32[1]"),
    ],
)
def test_a_task_that_gives_other_than_it_declares_is_refused_at_once(function: str, wrong: dict, names: str):
    task = Bead()
    setattr(task, function, lambda *_: wrong)
    with pytest.raises(ValueError, match=function) as refusal:
        Env(task, Line(2), seed=0).reset()
    assert names in str(refusal.value)


@pytest.mark.parametrize("steps", [0, -5])
def test_episodes_without_a_step_are_refused(steps: int):
    with pytest.raises(ValueError, match=f"'bead': episode_steps must be at least 1, got {steps}"):
        Env(Bead(), Line(1), seed=0, episode_steps=steps)


def test_sensors_that_the_robot_does_not_have_are_refused():
    task = Bead()
    task.sensors = {"lidar": SensorModel()}
    with pytest.raises(ValueError, match="place, target"):
        Env(task, Line(1), seed=0)


def test_a_diverged_world_is_reset_counted_and_alone():
    env = beads(3)
    step = pushed(env, 0.5, float("nan"), 0.5)
    assert step.diverged == 1
    assert (step.terminated.tolist(), step.ended.tolist()) == ([False, True, False], [1])
    near(step.reward, [1.6, 0.0, 1.6])
    near(step.observations["actor"], [[0.5, 0.1], [0.0, 0.0], [0.5, 0.1]])
    assert pushed(env, 0.5, 0.5, 0.5).diverged == 0


@pytest.mark.parametrize(("keep", "snapshots"), [(False, True), (True, False)])
def test_divergences_are_kept_only_when_asked_and_possible(keep: bool, snapshots: bool):
    env = Env(Bead(), Line(2, snapshots), seed=0, keep_divergences=keep)
    env.reset()
    assert pushed(env, float("nan"), 0.0).divergence is None
    assert env.engine.snapshots_taken == 0, "no step pays for what nobody wants"  # pyright: ignore


def test_a_kept_divergence_says_what_was_before():
    env = beads(3, keep_divergences=True)
    assert pushed(env, 0.5, 0.25, 0.5).divergence is None
    divergence = pushed(env, 0.5, 0.25, float("nan")).divergence
    assert divergence is not None
    assert (divergence.worlds.tolist(), divergence.episode_step.tolist()) == ([2], [1])
    assert divergence.engine["x"].tolist() == [[0.5]]
    assert divergence.commands["push"].isnan().all()
