"""How people and scripts demonstrate a task: what the task's entry points to, in whatever package."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.recording.operator import Driver
from isthmus_datasets.recording.robot import Observation, Robot
from isthmus_datasets.teleop.operators.teleop_controller import TeleopController
from isthmus_datasets.teleop.stand import Stand
from isthmus_policies.demonstrate.views import Placements, View, check_placed, placements
from isthmus_policies.networks.policy import Policy
from isthmus_sim.env import Env
from isthmus_sim.registry import RegistryError, does_not_load
from isthmus_sim.task import Task
from isthmus_sim.tasks import TASKS, TaskEntry


class MeasuredRobot(Robot, Protocol):
    """A robot, simulated or real, whose readings have the names that a policy knows."""

    @property
    def readings(self) -> tuple[str, ...]:
        """Names of what `signals` gives."""
        ...

    def signals(self, observation: Observation) -> Mapping[str, NDArray[Any]]:
        """The readings in an observation by the names that the robot's description has, unbatched; images too."""
        ...


class ShownRobot(MeasuredRobot, Protocol):
    """One that the page can show."""

    @property
    def model(self) -> Any:
        """Its `mujoco.MjModel`, as this episode has it."""
        ...

    @property
    def qpos(self) -> NDArray[np.float64]:
        """(nq,): the joint positions of `model` now."""
        ...

    @property
    def mocap(self) -> NDArray[np.float64]:
        """(nmocap, 3): where the mocap bodies of `model` are, m."""
        ...


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """How a task is demonstrated. A script needs `script`; a person at the page needs `view`, and `guide` unless a
    leader arm is in the person's hand."""

    words: str = ""
    """What is asked of the robot, for the dataset; by default the task's summary."""
    script: Callable[[float, float], Driver] | None = None
    """`script(noise, skill)` makes an operator that starts and ends episodes by itself."""
    policy: Callable[[Task], Policy] | None = None
    """`policy(task)` makes a script for many worlds at once, which remembers nothing: it reads the task's observation
    groups, gives its actions, and can take over in the middle of an episode."""
    noise: float = 0.0
    """Standard deviation of what the script adds to its actions unless something else is asked for, in their unit."""
    cameras: Callable[[Env, Placements], View] | None = None
    """`cameras(env, placed)` makes what sees the world, with the placed ones where a calibration has them; None for the
    robot's own camera signals alone."""
    view: Stand | None = None
    """How the page looks at the robot, and what is dragged."""
    guide: Callable[[ShownRobot, int], TeleopController] | None = None
    """`guide(robot, rate_hz)` makes what turns the target that a person moves into actions."""
    model: Callable[[ShownRobot], Any] = lambda robot: robot.model
    """`model(robot)` gives what the page shows, a `mujoco.MjModel` with the joints and mocap bodies of the robot's own;
    by default that one."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys that move the target -> what they do, for the page."""
    gripper: bool = False
    """Whether the guide opens and closes a gripper."""

    def view_maker(self, calibration: Iterable[Path]) -> Callable[[Env], View] | None:
        """What makes `cameras`, those of these files of isthmus-calibrate where the real ones are. Raises
        CalibrationError."""
        placed, cameras = placements(calibration), self.cameras
        if cameras is None:
            check_placed((), placed)
            return None
        return lambda env: cameras(env, placed)


def find_demonstration(task: str, *parts: str) -> Demonstration:
    """How a task is demonstrated. Where no part is needed, every task has at least words.

    Args:
        task: Its registered name.
        parts: Fields that are needed, such as "script".

    Raises:
        RegistryError: there is no such task, or its demonstration does not load, does not exist, or lacks one of the
            parts. The message names the tasks that have them all.
    """
    there = f"tasks that have: {', '.join(demonstrated_tasks(*parts)) or 'none'}"
    if task not in TASKS:
        raise RegistryError(f"unknown task {task!r}; {there}")
    entry = TASKS[task]
    try:
        found = _load(task, entry)
    except RegistryError as error:
        raise RegistryError(f"{error}; {there}") from error
    if found is None and not parts:
        return Demonstration(words=_words(task, entry))
    if found is None:
        raise RegistryError(f"the task {task!r} has no demonstration (`demonstration` of its entry); {there}")
    lacking = [part for part in parts if getattr(found, part) is None]
    if lacking:
        raise RegistryError(f"the demonstration of the task {task!r} has no {' and no '.join(lacking)}; {there}")
    return found


def demonstrated_tasks(*parts: str) -> list[str]:
    """Names of the tasks whose demonstration has these parts. One that does not load, or whose demonstration does not,
    is left out: who asks for it is told why, and the others can be used."""
    return [task for task in TASKS if _has(task, parts)]


def _has(task: str, parts: Iterable[str]) -> bool:
    try:
        found = _load(task, TASKS[task])
    except RegistryError:
        return False
    return found is not None and all(getattr(found, part) is not None for part in parts)


def _load(task: str, entry: TaskEntry) -> Demonstration | None:
    where = entry.demonstration
    if where is None:
        return None
    whose, package = f"the demonstration of the task {task!r}", TASKS.origin(task).package
    try:
        found = pkgutil.resolve_name(where)
    except (Exception, SystemExit) as error:  # a module of another package may raise anything while it is imported
        raise RegistryError(f"{whose} {does_not_load(package, where, error)}") from error
    if not isinstance(found, Demonstration):
        raise RegistryError(f"{whose} of {package}: {where} is a {type(found).__name__}, it must be a Demonstration")
    return replace(found, words=found.words or _words(task, entry))


def _words(task: str, entry: TaskEntry) -> str:
    return entry.summary or task
