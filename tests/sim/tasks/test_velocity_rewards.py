"""Walking as told: rewards and metrics by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields

import pytest
import torch

from isthmus_sim.engine import State
from isthmus_sim.robots.quadruped.description import ROBOT
from isthmus_sim.task import Goal, Transition
from isthmus_sim.tasks.velocity import VelocityTracking
from isthmus_sim.tasks.velocity_config import VelocityConfig, VelocityReward

Standing = Callable[..., State]
COMMAND = "joint_position_target"
WEIGHTS = ("velocity", "turning", "course", "gait", "clearance", "level", "height", "bounce", "slip", "effort", "power",
           "smoothness", "posture")  # fmt: skip


def reward_of(state: State, goal: Goal, **constants: float) -> dict[str, torch.Tensor]:
    """All weights 1; all targets moved by 0.1 rad since the step before."""
    reward = VelocityReward(**{**dict.fromkeys(WEIGHTS, 1.0), **constants})  # pyright: ignore[reportArgumentType]
    task = VelocityTracking(ROBOT, VelocityConfig(reward=reward))
    zero = torch.zeros(len(state["position"]), 12)
    return task.reward(
        Transition(state=state, goal=goal, commands={COMMAND: zero}, previous={COMMAND: zero + 0.1}, progress=1.0)
    )


def test_every_weight_has_its_term():
    assert set(WEIGHTS) == set(VelocityTracking(ROBOT, VelocityConfig()).rewards)
    assert set(WEIGHTS) <= {field.name for field in fields(VelocityReward)}


def test_the_rewards_terms_by_hand(standing: Standing):
    """World 0 does what is asked; world 1, facing world y, walks 0.3 m/s across it."""
    state, half = standing(2, 0.25), math.sqrt(0.5)
    state["orientation"][1] = torch.tensor([half, 0.0, 0.0, half])
    state |= {
        "linear_velocity": torch.tensor([[0.5, 0.0, 0.2], [0.3, 0.5, 0.2]]),
        "angular_velocity": torch.tensor([[1.0, 2.0, 0.7], [1.0, 2.0, 0.2]]),
        "foot_force": torch.tensor([[50.0, 0.0, 0.0, 50.0], [50.0, 50.0, 50.0, 50.0]]),
        "foot_position": torch.tensor([0.0, 0.0, 0.02]).repeat(2, 4, 1),
        "foot_velocity": torch.tensor([0.3, 0.4, 9.0]).repeat(2, 4, 1),
        "joint_torque": torch.full((2, 12), 2.0),
        "joint_power": torch.tensor([3.0, -5.0] * 6).repeat(2, 1),
        "joint_position": state["joint_position"] + 0.1,
    }
    goal = {
        "linear_velocity_command": torch.tensor([[0.5, 0.0], [0.5, 0.0]]),
        "yaw_rate_command": torch.tensor([[0.7], [0.7]]),
        "phase": torch.tensor([[0.25], [0.25]]),  # front right and rear left at the top of their swing
        "course": torch.tensor([[0.0, 0.0, 0.0], [0.03, -0.04, -0.2]]),
    }
    found = reward_of(state, goal, swing_height=0.07, crouch=ROBOT.stances["stand"].height - 0.3, width=0.4,
                      course_width=0.1)  # fmt: skip
    expected = {
        "velocity": [1.0, math.exp(-0.3 / 0.4)],
        "turning": [1.0, math.exp(-0.5 / 0.4)],
        "course": [2.0, math.exp(-0.5) + math.exp(-2.0)],
        "gait": [1.0, 0.5],
        "clearance": [-2 * 0.05**2] * 2,
        "level": [0.0, 0.0],
        "height": [-(0.05**2)] * 2,
        "bounce": [-(0.2**2 + 0.1 * 5.0)] * 2,
        "slip": [-2 * 0.25, -4 * 0.25],
        "effort": [-12 * 4.0] * 2,
        "power": [-18.0] * 2,
        "smoothness": [-12 * 0.01] * 2,
        "posture": [-(12 * 0.01 + 4 * 4 * 0.01)] * 2,  # the four hips count five times
    }
    assert set(found) == set(expected)
    for name, values in expected.items():
        torch.testing.assert_close(found[name], torch.tensor(values), rtol=1e-4, atol=1e-5, msg=name)


def test_leaning_costs_by_the_sine_of_the_angle(standing: Standing):
    state = standing(1)
    state["orientation"] = torch.tensor([[math.cos(0.15), math.sin(0.15), 0.0, 0.0]])
    goal = {"linear_velocity_command": torch.zeros(1, 2), "yaw_rate_command": torch.zeros(1, 1)}
    found = reward_of(state, goal | {"phase": torch.zeros(1, 1), "course": torch.zeros(1, 3)})
    assert float(found["level"]) == pytest.approx(-(math.sin(0.3) ** 2), rel=1e-4)


def test_told_to_stand_all_feet_should(standing: Standing):
    state = standing(2) | {"foot_force": torch.tensor([[10.0, 10.0, 10.0, 10.0], [10.0, 0.0, 0.0, 10.0]])}
    goal = {"linear_velocity_command": torch.zeros(2, 2), "yaw_rate_command": torch.zeros(2, 1)}
    found = reward_of(state, goal | {"phase": torch.full((2, 1), 0.25), "course": torch.zeros(2, 3)})
    assert found["gait"].tolist() == [1.0, 0.5]
    assert found["clearance"].tolist() == [0.0, 0.0]


def test_metrics_are_errors_in_the_robots_own_frame(standing: Standing):
    state, half = standing(1), math.sqrt(0.5)
    state |= {
        "orientation": torch.tensor([[half, 0.0, 0.0, half]]),
        "linear_velocity": torch.tensor([[0.0, 1.0, 0.3]]),  # forward, as it faces world y
        "angular_velocity": torch.tensor([[9.0, 9.0, -0.2]]),
        "joint_power": torch.tensor([[5.0, -3.0] * 6]),
    }
    goal = {"linear_velocity_command": torch.tensor([[0.7, 0.4]]), "yaw_rate_command": torch.tensor([[0.3]])}
    metrics = VelocityTracking(ROBOT, VelocityConfig()).metrics(state, goal)
    assert {name: float(value) for name, value in metrics.items()} == pytest.approx(
        {"velocity_error_mps": 0.5, "yaw_rate_error_radps": 0.5, "speed_mps": 1.0, "power_w": 30.0}, rel=1e-5
    )


def test_the_course_is_what_the_robot_was_off_on_average(standing: Standing):
    """A robot that sways about what is asked keeps its course; one that is off by 0.1 m/s to the left and 0.2 rad/s
    leaves it, by 1 - e^-1 of that within the time constant, whatever else it is asked meanwhile."""
    task = VelocityTracking(ROBOT, VelocityConfig(reward=VelocityReward(course_s=1.0), command_s=0.4))
    state, generator, steps = standing(2, 0.25), torch.Generator().manual_seed(0), round(1.0 / ROBOT.control_period_s)
    goal = task.goal(torch.zeros(2), None, generator)
    for step in range(1, steps + 1):
        sway = 0.3 if step % 2 else -0.3
        off = torch.tensor([[0.0, sway, sway], [0.0, 0.1, 0.2]])
        goal = task.goal(torch.full((2,), float(step)), goal, generator)
        asked, turning = goal["linear_velocity_command"], goal["yaw_rate_command"]
        state["linear_velocity"] = torch.cat((asked + off[:, :2], torch.zeros(2, 1)), dim=-1)
        state["angular_velocity"] = torch.cat((torch.zeros(2, 2), turning + off[:, 2:]), dim=-1)
        goal = task.track(goal, state)
    share = 1 - (1 - 1 / steps) ** steps
    torch.testing.assert_close(goal["course"][1], share * torch.tensor([0.0, 0.1, 0.2]))
    assert float(goal["course"][0].abs().max()) < 0.005
