"""Engines: implementations of `isthmus_sim.engine.Engine`, by robot and name."""

from __future__ import annotations

from collections.abc import Callable

import mujoco

from isthmus_sim.engine import Engine
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor
from isthmus_sim.engines.mujoco_legged import MujocoLegged
from isthmus_sim.engines.mujoco_quadrotor import MujocoQuadrotor
from isthmus_sim.robots.quadruped import FEET, JOINTS, MOTORS
from isthmus_sim.robots.quadruped_mjcf import quadruped_mjcf
from isthmus_sim.task import Task

_TIMESTEP_S = 0.005  # of legged robots while they learn

ENGINES: dict[str, dict[str, Callable[[Task, int], Engine]]] = {
    "crazyflie": {
        "analytic": lambda task, num_envs: AnalyticQuadrotor(num_envs),
        "mujoco": lambda task, num_envs: MujocoQuadrotor(num_envs),
    },
    "quadruped": {"mujoco": lambda task, num_envs: _quadruped(task, num_envs)},
}
"""Name of the robot -> name of the engine -> how to make it; the first is the default."""


def _quadruped(task: Task, num_envs: int) -> Engine:
    model = mujoco.MjSpec.from_string(quadruped_mjcf(timestep=_TIMESTEP_S))
    motors = tuple(MOTORS[name.split("_")[1]] for name in JOINTS)
    return MujocoLegged(model, task.robot, motors, FEET, num_envs, terrain=task.terrain)


def make_engine(task: Task, num_envs: int, name: str | None = None) -> Engine:
    """`num_envs` worlds for `task` on the engine `name`, by default the robot's first.

    Raises ValueError naming the engines there are.
    """
    engines = ENGINES[task.robot.name]
    name = name or next(iter(engines))
    if name not in engines:
        raise ValueError(f"unknown engine {name!r} for {task.robot.name}; there are: {', '.join(engines)}")
    return engines[name](task, num_envs)
