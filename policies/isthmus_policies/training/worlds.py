"""What a run's configuration says of the simulation: its task and its engine."""

from __future__ import annotations

from typing import Any

from isthmus_policies.training.config import TrainConfig
from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Engine
from isthmus_sim.engines import make_engine as make_named_engine
from isthmus_sim.robots import ROBOTS
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task as make_named_task


def make_task(config: TrainConfig[Any, Any, Any]) -> Task:
    """The task as the run is configured.

    Raises ValueError for an unknown task or robot, naming those there are, and a configuration that cannot be.
    """
    return make_named_task(config.name, config.task, make_robot(config))


def make_robot(config: TrainConfig[Any, Any, Any]) -> RobotDescription | None:
    """The robot that the run asks for; None for the task's own."""
    return None if config.robot is None else robot_named(config.robot)


def robot_named(source: str) -> RobotDescription:
    """The robot registered under a name. Raises ValueError naming those there are."""
    return ROBOTS[source]


def engine_name(config: TrainConfig[Any, Any, Any], task: Task) -> str:
    """The registered name of the engine that the run asks for, by default the task's first one."""
    return config.engine or task.engines[0]


def make_engine(config: TrainConfig[Any, Any, Any], task: Task, num_envs: int) -> Engine:
    """`num_envs` worlds of the task. Raises ValueError for an unknown engine, or one that cannot simulate them."""
    return make_named_engine(task.scene, num_envs, engine_name(config, task))
