"""Engines: implementations of `isthmus_sim.engine.Engine`, by robot and name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from isthmus_sim.engine import Engine, UnsupportedError
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor
from isthmus_sim.engines.mujoco_arm import MujocoArm
from isthmus_sim.engines.mujoco_legged import MujocoLegged
from isthmus_sim.engines.mujoco_push_t import MujocoPushT
from isthmus_sim.engines.mujoco_quadrotor import MujocoQuadrotor
from isthmus_sim.models.reading import OWN
from isthmus_sim.robots.quadruped.description import FEET, JOINTS, MOTORS
from isthmus_sim.robots.quadruped.model import load_model
from isthmus_sim.task import Task

if TYPE_CHECKING:
    from isthmus_sim.engines.warp_legged import WarpLegged

_TIMESTEP_S = 0.005  # of legged robots while they learn

ENGINES: dict[str, dict[str, Callable[[Task, int, str], Engine]]] = {
    "crazyflie": {
        "analytic": lambda task, num_envs, model: AnalyticQuadrotor(num_envs),
        "mujoco": lambda task, num_envs, model: MujocoQuadrotor(num_envs),
    },
    "quadruped": {
        "mujoco": lambda task, num_envs, model: _legged(MujocoLegged, task, num_envs, model),
        "warp": lambda task, num_envs, model: _legged(_warp_legged(), task, num_envs, model),
    },
    "pusher": {"mujoco": lambda task, num_envs, model: MujocoPushT(num_envs)},
    "so101": {"mujoco": lambda task, num_envs, model: MujocoArm(num_envs)},
}
"""Name of the robot -> name of the engine -> how to make it; the first is the default."""

_MODELS = ("quadruped",)  # robots that can be simulated from another model than this project's own


def _legged(engine: type[MujocoLegged] | type[WarpLegged], task: Task, num_envs: int, model: str) -> Engine:
    motors = tuple(MOTORS[name.split("_")[1]] for name in JOINTS)
    source = load_model(model, timestep=_TIMESTEP_S).spec
    return engine(source, task.robot, motors, FEET, num_envs, terrain=task.terrain)


def _warp_legged() -> type[WarpLegged]:
    """Imported when asked for: it needs packages that only the GPU's users install."""
    try:
        from isthmus_sim.engines.warp_legged import WarpLegged
    except ModuleNotFoundError as error:
        raise UnsupportedError(f'the engine "warp" needs {error.name}: pip install "isthmus[gpu]"') from error
    return WarpLegged


def make_engine(task: Task, num_envs: int, name: str | None = None, model: str = OWN) -> Engine:
    """`num_envs` worlds for `task` on the engine `name`, by default the robot's first; `model`: see `load_model`.

    Raises ValueError naming the engines there are, UnsupportedError where the engine's packages are not installed,
    ModelError for a model that does not fit the robot.
    """
    engines = ENGINES[task.robot.name]
    name = name or next(iter(engines))
    if name not in engines:
        raise ValueError(f"unknown engine {name!r} for {task.robot.name}; there are: {', '.join(engines)}")
    if model != OWN and task.robot.name not in _MODELS:
        raise ValueError(f"{task.robot.name} has no model but its own; others can be given for: {', '.join(_MODELS)}")
    return engines[name](task, num_envs, model)
