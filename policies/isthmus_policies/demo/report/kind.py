"""What makes one kind of demonstration: how its policy is made, its mission and its report, for every robot that can be
sent on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus_policies.demo.making.making import Making
from isthmus_policies.demo.making.reward import ByReward
from isthmus_policies.demo.report.html import Fact
from isthmus_policies.demo.report.record import Demo
from isthmus_policies.evaluation.video import Progress, Text, mission_video, task_video
from isthmus_policies.training.run import task_of_contract


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
    making: Making = field(default_factory=ByReward)
    """How the policy is made."""
    at_task: bool = False
    """Whether the stand-in stands in the task's scene, which it judges; otherwise it is the robot by itself."""

    def trained(self, task: str) -> str:
        """The task that is trained when `task` is asked for."""
        return self.trains.get(task, task)

    def film(self, demo: Demo, on_frame: Progress) -> Path:
        """Write the video, of the task's scene where the robot stood in it. Raises NoRendererError, OSError."""
        note = self.note(demo)
        if demo.things:
            scene = task_of_contract(demo.contract).scene
            return task_video(scene, demo.things, demo.phases, note, demo.video, on_frame=on_frame)
        return mission_video(demo.description, demo.arrays, demo.phases, note, demo.video, on_frame=on_frame)
