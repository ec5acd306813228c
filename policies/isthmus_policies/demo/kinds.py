"""Which tasks can be demonstrated over ROS 2, and how: their entries say so, in other packages too."""

from __future__ import annotations

import pkgutil

from isthmus_policies.demo.report.kind import DemoKind
from isthmus_sim.registry import RegistryError
from isthmus_sim.tasks import TASKS


def demo_kind(task: str) -> DemoKind:
    """How the task of this registered name is demonstrated.

    Raises RegistryError where there is no such task, or its mission does not exist or load; it names the tasks that
    have one.
    """
    if task not in TASKS:
        raise RegistryError(f"unknown task {task!r}; tasks with a mission: {', '.join(demo_tasks()) or 'none'}")
    kind = _load(task)
    if kind is None:
        raise RegistryError(
            f"the task {task!r} lacks a mission over ROS 2 (`mission` of its entry); tasks with one: "
            f"{', '.join(demo_tasks()) or 'none'}"
        )
    return kind


def demo_tasks() -> list[str]:
    """Names of the tasks that have a mission. One that does not load is left out: who asks for it is told why."""
    return [task for task in TASKS if _has_mission(task)]


def _has_mission(task: str) -> bool:
    try:
        return _load(task) is not None
    except RegistryError:
        return False


def _load(task: str) -> DemoKind | None:
    where = TASKS[task].mission
    if where is None:
        return None
    whose = f"the mission of the task {task!r} of {TASKS.origin(task).package}"
    try:
        found = pkgutil.resolve_name(where)
    except (ImportError, AttributeError, ValueError) as error:
        raise RegistryError(f"{whose} does not load from {where}: {error}") from error
    if not isinstance(found, DemoKind):
        raise RegistryError(f"{whose}: {where} is a {type(found).__name__}, it must be a DemoKind")
    return found
