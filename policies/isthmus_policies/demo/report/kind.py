"""What makes one kind of demonstration: its task, its robot, its mission, its report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus_policies.demo.report.html import Fact
from isthmus_policies.demo.report.record import Demo
from isthmus_policies.evaluation.video import Text


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of demonstration."""

    task: str
    """Registered name of the task that is trained."""
    stand_in: str
    """The robot, as `isthmus-stand-in` calls it."""
    mission: str
    """The operator's module in `isthmus_deploy.ros`; also the name of the record and of the video."""
    plan: type[Any]
    """The mission's plan: a dataclass with a `duration_s`."""
    doing: str
    """While it lasts: "flying"."""
    out: Path
    """Where its results go by default."""
    lead: str
    """HTML: what was done, in words; {robot} is the contract's name of the robot."""
    facts: Callable[[Demo], list[Fact]]
    """How it went: headlines after those of the training."""
    sections: tuple[Callable[[Demo], str], ...]
    """How it went, in parts of the page: before learning, timing and contract."""
    note: Callable[[Demo], Text]
    """What to write into the video, of a time in s since its start."""
