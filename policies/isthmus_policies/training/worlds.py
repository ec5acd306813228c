"""What a run's configuration says of the simulation: its task and its engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isthmus_sim.engine import Engine
from isthmus_sim.engines import make_engine as make_named_engine
from isthmus_sim.robots.models import OWN
from isthmus_sim.task import Task
from isthmus_sim.tasks import TASKS
from isthmus_sim.tasks import make_task as make_named_task

if TYPE_CHECKING:
    from isthmus_policies.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class NoConfig:
    """A task without configuration."""


@dataclass(frozen=True, kw_only=True)
class TaskEntry:
    """A registered task: how it is made of its configuration, and how it is trained."""

    make: Callable[[Any], Task]
    config: Any
    training: Mapping[str, Any] = field(default_factory=dict)


_WALKING: dict[str, Any] = {
    "iterations": 900,
    "episode_steps": None,
    "policy": {
        "actor": (128, 128), "critic": (128, 128), "activation": "elu", "hidden_gain": 0.85, "initial_std": 0.5,
    },
    "algorithm": {
        "num_steps": 24, "epochs": 2, "minibatches": 4, "lam": 0.95, "kl_target": (0.02, 0.006), "symmetry": True,
    },
}  # fmt: skip
_TRAINING: dict[str, dict[str, Any]] = {
    # A policy for a real airframe follows trajectories rather than saves itself from the worst starts: longer
    # episodes, and more of the curriculum, which is where precision comes from.
    "quadrotor-randomized": {"iterations": 700, "episode_steps": 200, "curriculum_end": 0.6},
    "quadruped": _WALKING,
    "quadruped-rough": _WALKING | {"num_envs": 1024},
}


def task_entry(name: str) -> TaskEntry:
    """Raises ValueError naming the tasks there are."""
    task = make_named_task(name)
    training = _TRAINING.get(name, {})
    if name.startswith("quadruped"):
        return TaskEntry(make=type(task), config=task.config, training=training)  # pyright: ignore
    return TaskEntry(make=lambda _: make_named_task(name), config=NoConfig(), training=training)


def task_names() -> list[str]:
    """The registered tasks."""
    return list(TASKS)


def make_task(config: TrainConfig[Any, Any, Any]) -> Task:
    """The task as the run is configured. Raises ValueError for an unknown one."""
    return task_entry(config.name).make(config.task)


def make_engine(task: Task, num_envs: int, config: TrainConfig[Any, Any, Any], engine: str | None = None) -> Engine:
    """`num_envs` worlds of the task as the run is configured, on another `engine` if one is named.

    Raises ValueError for an unknown engine, or one that cannot simulate the task.
    """
    return make_named_engine(task, num_envs, engine or config.engine, config.robot or OWN)
