"""Tasks: each is one entry under the entry points `isthmus.tasks`, with its configuration and how it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus_sim.description import RobotDescription
from isthmus_sim.registry import Registry
from isthmus_sim.robots import ROBOTS
from isthmus_sim.task import Task


@dataclass(frozen=True, kw_only=True)
class TaskEntry:
    """A task as it is registered.

    Args:
        make: `make(robot, config)`, usually the task's class.
        robot: The robot that does it unless another is asked for: its registered name.
        config: The configuration by default, an instance of a frozen dataclass.
        training: What differs from the trainer's defaults, by field, nested as the trainer's configuration is; None for
            a task that is not trained.
        summary: One line for a person who chooses.
        demonstration: Where it is said how people and scripts demonstrate it, as "module:attribute"; None for a task
            that nobody demonstrates.
        mission: Where it is said how its robot is sent on a mission over ROS 2, as "module:attribute"; None for a task
            without one.
    """

    make: Callable[[RobotDescription, Any], Task]
    robot: str
    config: Any
    training: Mapping[str, Any] | None = field(default_factory=dict)
    summary: str = ""
    demonstration: str | None = None
    mission: str | None = None


TASKS: Registry[TaskEntry] = Registry("isthmus.tasks", "task", TaskEntry)


def make_task(name: str, config: Any = None, robot: RobotDescription | None = None) -> Task:
    """The task of this name, by default with its own configuration and robot.

    Raises ValueError naming the tasks there are, or saying what the robot lacks or the configuration has wrong.
    """
    entry = TASKS[name]
    _refuse_other_type(name, "configuration", config, type(entry.config))
    _refuse_other_type(name, "robot", robot, RobotDescription)
    return entry.make(robot or ROBOTS[entry.robot], entry.config if config is None else config)


def _refuse_other_type(name: str, kind: str, given: Any, type_: type) -> None:
    if given is not None and not isinstance(given, type_):
        wrong = type(given).__name__
        raise ValueError(f"the task {name!r}: its {kind} is a {type_.__name__} of {type_.__module__}, not a {wrong}")
