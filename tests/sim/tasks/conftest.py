"""Quadrupeds that the tests of their task share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from isthmus_sim.engine import State
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.robots.quadruped.description import DEFAULT_POSE, ROBOT, STAND_HEIGHT
from isthmus_sim.tasks.velocity import VelocityTracking
from isthmus_sim.tasks.velocity_config import VelocityConfig

Walking = Callable[..., Env]
Standing = Callable[..., State]


@pytest.fixture(scope="session")
def walking() -> Walking:
    """Configuration, number of worlds -> an environment of quadrupeds that is not reset yet."""

    def make(config: VelocityConfig, n: int, **options: Any) -> Env:
        task = VelocityTracking(ROBOT, config)
        return Env(task, make_engine(task.scene, n, "mujoco"), 0, **options)

    return make


@pytest.fixture(scope="session")
def standing() -> Standing:
    """n quadrupeds at rest in the default pose, their bases at `height` m, and nothing known of their feet."""

    def make(n: int, height: float = STAND_HEIGHT) -> State:
        pose = torch.tensor(DEFAULT_POSE).repeat(n, 1)
        return {
            "position": torch.tensor([0.0, 0.0, height]).repeat(n, 1),
            "orientation": torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1),
            "linear_velocity": torch.zeros(n, 3),
            "angular_velocity": torch.zeros(n, 3),
            "joint_position": pose,
            "joint_velocity": torch.zeros(n, 12),
            "joint_torque": torch.zeros(n, 12),
            "joint_power": torch.zeros(n, 12),
            "foot_position": torch.zeros(n, 4, 3),
            "foot_velocity": torch.zeros(n, 4, 3),
            "foot_force": torch.zeros(n, 4),
            "actuator": pose.clone(),
        }

    return make
