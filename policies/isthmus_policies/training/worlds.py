"""What a run's configuration says of the simulation: its task and its engine."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isthmus_policies.training.config import TrainConfig
from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Engine
from isthmus_sim.engines import make_engine as make_named_engine
from isthmus_sim.models.user_robot import robot_of
from isthmus_sim.task import Task
from isthmus_sim.tasks import TASKS
from isthmus_sim.tasks import make_task as make_named_task
from isthmus_sim.terms.randomization import jointly


def make_task(config: TrainConfig[Any, Any, Any]) -> Task:
    """The task as the run is configured.

    Raises ValueError for an unknown task or robot, naming those there are, and a configuration that cannot be.
    """
    task = make_named_task(config.name, config.task, make_robot(config))
    if config.identified is not None:
        task.randomization = (*task.randomization, jointly(task.scene, config.identified))
    return task


def make_robot(config: TrainConfig[Any, Any, Any]) -> RobotDescription | None:
    """The robot that the run asks for; None for the task's own. Raises ValueError as `robot_of`."""
    return None if config.robot is None else robot_named(config.robot, config.name)


def robot_named(source: str, task: str) -> RobotDescription:
    """A registered robot, a robot file, or a model on top of the robot of `task`. Raises ValueError as `robot_of`."""
    return robot_of(source, TASKS[task].robot)[0]


def robot_remarks(config: TrainConfig[Any, Any, Any]) -> tuple[str, ...]:
    """A sentence for every number of the run's robot that another one lends, and for what was done to its model."""
    return () if config.robot is None else robot_of(config.robot, TASKS[config.name].robot)[1]


def robot_digest(robot: RobotDescription) -> str:
    """SHA-256 of all that a simulation has of a robot: description and model. Equal digests are equal robots."""
    model = "" if robot.model is None else robot.model(False)
    text = model if isinstance(model, str) else model.to_xml()
    parts = [(_text(part), part.parameters) for part in (*robot.actuators, *robot.variations)]
    shape = (robot.base, dict(robot.legs), robot.mass, dict(robot.stances), dict(robot.mirror))
    facts = (robot.control_period_s, robot.signals, robot.commands, dict(robot.joints), parts, shape, text)
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _text(part: object) -> str:
    """What a part of a robot is made of; only its kind, where that has no text that is the same in the next process."""
    return repr(part) if dataclasses.is_dataclass(part) else type(part).__qualname__


def require_same_robot(robot: RobotDescription, facts: Mapping[str, Any], what: Path) -> None:
    """Raise ValueError where `robot` is not the one that the checkpoint `what`, with these facts, was trained on."""
    if robot_digest(robot) != facts["robot"]:
        raise ValueError(
            f"{what}: the robot {robot.name} is not the one that it was trained on: its description or model has "
            f"changed since; take revision {facts['code_revision']}, or train again"
        )


def engine_name(config: TrainConfig[Any, Any, Any], task: Task) -> str:
    """The registered name of the engine that the run asks for, by default the task's first one."""
    return config.engine or task.engines[0]


def make_engine(config: TrainConfig[Any, Any, Any], task: Task, num_envs: int) -> Engine:
    """`num_envs` worlds of the task. Raises ValueError for an unknown engine, or one that cannot simulate them."""
    return make_named_engine(task.scene, num_envs, engine_name(config, task))
