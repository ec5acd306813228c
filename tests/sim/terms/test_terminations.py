"""What ends an episode, and its margins: the same on the robot."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from isthmus_sim.rotations import random_orientation
from isthmus_sim.tasks import TASKS, make_task
from isthmus_sim.terms.terminations import tilt_margin, tilted, upright


def leaning(angle: float, about: int = 1, yaw: float = 0.0) -> Tensor:
    """(1, 4) wxyz: turned by `angle` rad about body x (1) or y (2), then by `yaw` about the vertical."""
    turn = torch.zeros(4, dtype=torch.float64)
    turn[0], turn[about] = math.cos(angle / 2), math.sin(angle / 2)
    w, x, y, _ = turn.tolist()
    c, s = math.cos(yaw / 2), math.sin(yaw / 2)
    return torch.tensor([[c * w, c * x - s * y, c * y + s * x, s * w]])


@pytest.mark.parametrize(
    ("orientation", "margin"),
    [
        (leaning(0.0), 1.0),
        (leaning(0.0, yaw=2.0), 1.0),
        (leaning(0.4, 1), 0.6),
        (leaning(-0.4, 2, yaw=-3.0), 0.6),
        (leaning(1.5, 2), -0.5),
        (leaning(math.pi), 1.0 - math.pi),
        (1.01 * leaning(0.4), 0.6),
        (-leaning(0.4), 0.6),
    ],
)
def test_the_margin_is_what_is_left_to_the_limit(orientation: Tensor, margin: float):
    """Of a limit of 1 rad; whatever the heading, the length and the sign of the quaternion."""
    assert tilt_margin(orientation, 1.0).item() == pytest.approx(margin, abs=1e-6)


def test_what_is_no_orientation_ends_an_episode():
    state = {"orientation": torch.tensor([[math.nan, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])}
    assert tilted(state, 3.2).tolist() == [True, True, False]


@pytest.mark.parametrize("limit", [0.8, math.radians(60), math.pi / 2])
def test_episodes_end_where_they_always_did(limit: float):
    """By the cosine of the tilt, as trained policies have it: the same verdict on every orientation."""
    orientation = random_orientation(200_000, math.pi, torch.Generator().manual_seed(1))
    up = 1 - 2 * orientation[:, 1:3].square().sum(-1)
    assert torch.equal(tilted({"orientation": orientation}, limit), ~(up > math.cos(limit)))


@given(angle=st.floats(0.0, math.pi), limit=st.floats(0.1, 3.0))
def test_a_condition_is_broken_where_the_episode_ends(angle: float, limit: float):
    orientation = leaning(angle)
    margin = upright("imu", limit).margin({"imu": orientation})
    assert bool(margin < 0) is bool(tilted({"orientation": orientation}, limit))


@pytest.mark.parametrize("name", ["quadruped", "quadruped-rough", "biped"])
def test_a_leg_robots_condition_is_what_ends_its_training(name: str):
    """It has more that ends an episode, its height, and that is nothing that it measures."""
    task = make_task(name)
    limit = task.config.tilt_limit
    orientation = torch.cat([leaning(0.0), leaning(limit - 0.01), leaning(limit + 0.01)]).float()
    height = torch.full((3, 3), 0.0)
    height[:, 2] = 10.0
    assert task.terminated({"position": height, "orientation": orientation}, {}).tolist() == [False, False, True]
    margin = task.conditions["tilt"].margin({"imu_orientation": orientation})
    assert margin.tolist() == pytest.approx([limit, 0.01, -0.01], abs=1e-5)


@pytest.mark.parametrize("name", list(TASKS))
def test_every_goal_of_a_shipped_task_says_what_was_asked(name: str):
    task = make_task(name)
    goals = {spec.name for spec in task.robot.signals if spec.is_goal}
    assert set(task.goal_range) == goals
    assert set(task.goal_around) <= goals


@pytest.mark.parametrize("name", ["quadrotor", "quadrotor-randomized", "quadruped", "quadruped-rough", "biped"])
def test_no_condition_is_broken_where_training_begins(name: str):
    task = make_task(name)
    assert task.conditions
    ids, level = torch.arange(500), torch.zeros(500, dtype=torch.long)
    generator = torch.Generator().manual_seed(0)
    params = {k: v for draw in task.randomization for k, v in draw(500, generator).items()}
    state = task.start(ids, level, params, generator)
    goal = task.goal(torch.zeros(500, dtype=torch.long), None, generator)
    signals = task.sense(state, goal)
    for condition in task.conditions.values():
        assert bool((condition.margin(signals) >= -1e-6).all())
