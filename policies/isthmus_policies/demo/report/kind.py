"""What makes one kind of demonstration: its mission and its report, for every robot that can be sent on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus_policies.demo.report.html import Fact
from isthmus_policies.demo.report.record import Demo
from isthmus_policies.evaluation.video import Text


@dataclass(frozen=True, kw_only=True)
class DemoKind:
    """One kind of demonstration. A task's entry names it as its `mission`."""

    mission: str
    """What the mission is called: the name of its record, NAME/NAME.npz, and of its video."""
    operator: str
    """Module of the operator's process, which is told --plan.…, --wait-s and --log FOLDER."""
    plan: type[Any]
    """The mission's plan: a dataclass with a `duration_s`."""
    doing: str
    """What the robot does meanwhile: "flying"."""
    lead: str
    """HTML: what was done, in words; {robot} is the contract's name of the robot."""
    facts: Callable[[Demo], list[Fact]]
    """How it went: headlines after those of the training."""
    sections: tuple[Callable[[Demo], str], ...]
    """How it went, in parts of the page: before the contract."""
    note: Callable[[Demo], Text]
    """What to write into the video, of a time in s since its start."""
    trains: Mapping[str, str] = field(default_factory=dict)
    """Task that is asked for -> the task that is trained in its place, where that is another one."""

    def trained(self, task: str) -> str:
        """The task that is trained when `task` is asked for."""
        return self.trains.get(task, task)
