"""What the numbers of a transition mean: those of another task, or on another scale, would teach nonsense."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus_policies.files import plain
from isthmus_sim.task import Task


def meaning(task: Task) -> dict[str, Any]:
    """What the numbers of a transition mean, as JSON: the task and its configuration, what the robot takes."""
    commands = {spec.name: plain(spec) for spec in task.robot.commands}
    return json.loads(json.dumps({"task": task.name, "config": plain(task.config), "commands": commands}))


def differences(there: Any, here: Any, name: str = "") -> Iterator[str]:
    """Lines that differ between two meanings."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in dict.fromkeys((*there, *here)):
            yield from differences(there.get(key), here.get(key), f"{name}.{key}" if name else str(key))
    elif there != here:
        yield f"{name}: {there!r}, here {here!r}"
