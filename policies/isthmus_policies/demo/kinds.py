"""Which tasks can be demonstrated over ROS 2, and how: their entries say so, in other packages too."""

from __future__ import annotations

import pkgutil

from isthmus_policies.demo.report.kind import DemoKind
from isthmus_sim.registry import RegistryError, does_not_load
from isthmus_sim.tasks import TASKS, TaskEntry


def demo_kind(task: str) -> DemoKind:
    """How the task of this registered name is demonstrated.

    Raises RegistryError where there is no such task, or its mission does not exist or load; it names the tasks that
    have one.
    """
    if task not in TASKS:
        raise RegistryError(f"unknown task {task!r}; {_others()}")
    entry = TASKS[task]
    try:
        kind = _load(task, entry)
    except RegistryError as error:
        raise RegistryError(f"{error}; {_others()}") from error
    if kind is None:
        raise RegistryError(f"the task {task!r} lacks a mission over ROS 2 (`mission` of its entry); {_others()}")
    return kind


def _others() -> str:
    return f"tasks with a mission: {', '.join(demo_tasks()) or 'none'}"


def demo_tasks() -> list[str]:
    """Names of the tasks that have a mission. One that does not load, or whose mission does not, is left out: who asks
    for it is told why."""
    return [task for task in TASKS if _has_mission(task)]


def _has_mission(task: str) -> bool:
    try:
        return _load(task, TASKS[task]) is not None
    except RegistryError:
        return False


def _load(task: str, entry: TaskEntry) -> DemoKind | None:
    where = entry.mission
    if where is None:
        return None
    whose, package = f"the mission of the task {task!r}", TASKS.origin(task).package
    try:
        found = pkgutil.resolve_name(where)
    except (Exception, SystemExit) as error:  # a module of another package may raise anything while it is imported
        raise RegistryError(f"{whose} {does_not_load(package, where, error)}") from error
    if not isinstance(found, DemoKind):
        raise RegistryError(f"{whose} of {package}: {where} is a {type(found).__name__}, it must be a DemoKind")
    return found
