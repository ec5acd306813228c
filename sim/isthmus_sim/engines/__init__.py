"""Engines: implementations of `isthmus_sim.engine.Engine`, by robot and name."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import mujoco

from isthmus_sim.engine import Engine, UnsupportedError
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor
from isthmus_sim.engines.mujoco_legged import MujocoLegged
from isthmus_sim.engines.mujoco_quadrotor import MujocoQuadrotor
from isthmus_sim.robots.quadruped import FEET, JOINTS, MOTORS, Motor
from isthmus_sim.robots.quadruped_mjcf import quadruped_mjcf
from isthmus_sim.spec import RobotSpec
from isthmus_sim.task import Task

if TYPE_CHECKING:
    from isthmus_sim.engines.warp_legged import WarpLegged

_TIMESTEP_S = 0.005  # of legged robots while they learn

ENGINES: dict[str, dict[str, Callable[[Task, int], Engine]]] = {
    "crazyflie": {
        "analytic": lambda task, num_envs: AnalyticQuadrotor(num_envs),
        "mujoco": lambda task, num_envs: MujocoQuadrotor(num_envs),
    },
    "quadruped": {
        "mujoco": lambda task, num_envs: MujocoLegged(*_quadruped(task), num_envs, terrain=task.terrain),
        "warp": lambda task, num_envs: _warp_legged()(*_quadruped(task), num_envs, terrain=task.terrain),
    },
}
"""Name of the robot -> name of the engine -> how to make it; the first is the default."""


def _quadruped(task: Task) -> tuple[mujoco.MjSpec, RobotSpec, tuple[Motor, ...], tuple[str, ...]]:
    """Model, specification, motors and feet."""
    model = mujoco.MjSpec.from_string(quadruped_mjcf(timestep=_TIMESTEP_S))
    return model, task.robot, tuple(MOTORS[name.split("_")[1]] for name in JOINTS), FEET


def _warp_legged() -> type[WarpLegged]:
    """Imported when asked for: it needs packages that only the GPU's users install."""
    try:
        from isthmus_sim.engines.warp_legged import WarpLegged
    except ModuleNotFoundError as error:
        raise UnsupportedError(f'the engine "warp" needs {error.name}: pip install "isthmus[gpu]"') from error
    return WarpLegged


def make_engine(task: Task, num_envs: int, name: str | None = None) -> Engine:
    """`num_envs` worlds for `task` on the engine `name`, by default the robot's first.

    Raises ValueError naming the engines there are, and UnsupportedError where the engine's packages are not installed.
    """
    engines = ENGINES[task.robot.name]
    name = name or next(iter(engines))
    if name not in engines:
        raise ValueError(f"unknown engine {name!r} for {task.robot.name}; there are: {', '.join(engines)}")
    return engines[name](task, num_envs)
