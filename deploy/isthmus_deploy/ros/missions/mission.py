"""A mission: what an operator asks of a robot, when it is over, and whether it went well. No ROS here.

What every mission needs done, `operator` does. A mission fits every robot that takes the goals which it asks for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import tyro

from isthmus_deploy.contracts.robot_interface import RobotInterface
from isthmus_deploy.ros import ros2
from isthmus_deploy.ros.missions.log import MissionLog
from isthmus_deploy.ros.node.within import Within, check
from isthmus_deploy.ros.truth import Truth, Vector


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every mission is told."""

    namespace: str = ""
    """ROS namespace of the robot, such as /drone1."""
    wait_s: Annotated[float, Within(0.0, 3600.0)] = 20.0
    """How long to wait for the policy node and the robot, s."""
    log: Path | None = None
    """Folder for the record: NAME.npz and NAME.json."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of the mission: from `start_s` to `end_s`, s since its start."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """How it went: why it failed (nothing: it succeeded), lines for the person, and facts for the record."""

    failures: list[str]
    lines: list[str]
    facts: dict[str, Any]


class Mission(ABC):
    """One mission, from the start to the end of asking. Times are s since the node was told to start."""

    name: ClassVar[str]
    """What it is called, to the person and in the names of its files."""
    asks: tuple[str, ...]
    """The goals that it gives, by the contract's names."""
    columns: dict[str, int]
    """What is asked, and what the record says of it: names and sizes, in the order of the asked values."""
    period_s: ClassVar[float]
    """How often it is asked, s."""
    judged_by_truth: ClassVar[bool] = True
    """Whether it needs the topic ground_truth. If not, its record has a row for each reading that it watches."""

    needs_success: ClassVar[bool] = False
    """Whether it needs the topic task_succeeded."""

    phase: str = ""
    """The part of the mission that it is in."""

    def __init__(self) -> None:
        self.watches: tuple[str, ...] = ()
        """Readings that it needs, by the contract's names; all are recorded."""
        self.readings: dict[str, Vector] = {}
        """The newest of them, by name; one that never came is not there."""
        self.succeeded: bool | None = None
        """What task_succeeded said last; None as long as it has said nothing."""

    def meet(self, robot: RobotInterface) -> None:
        """Get to know the robot. Raises `ros2.Refusal` when it does not take the goals."""
        offered = {signal.name for signal in robot.signals}
        missing = [name for name in self.asks if name not in offered]
        if missing:
            raise ros2.Refusal(f"a {self.name} asks for {', '.join(missing)}, which {robot.robot} does not take")

    @abstractmethod
    def goals(self, asked: Vector) -> dict[str, Vector]:
        """The goals in what is asked, by their names in `asks`."""

    @abstractmethod
    def rest(self, truth: Truth) -> Vector:
        """What is asked before the start: to stay."""

    @abstractmethod
    def begin(self, truth: Truth) -> None:
        """The policy starts; here is the robot."""

    @abstractmethod
    def ask(self, time_s: float, truth: Truth) -> Vector | None:
        """What is asked now, or None when the mission is over. Sets `phase`."""

    @abstractmethod
    def failure(self, truth: Truth) -> str | None:
        """Why the mission must end at once, or None."""

    @abstractmethod
    def at_rest(self, truth: Truth) -> bool:
        """Whether the robot, told to stop, has done so."""

    @abstractmethod
    def judge(self, log: MissionLog, truth: Truth) -> Judgement:
        """What the record says of the mission; what ended it early is not repeated."""


Chosen = TypeVar("Chosen", bound=Options)


def command(options: type[Chosen], make: Callable[[Chosen], Mission], *, name: str) -> None:
    """Entry point of a mission's command `name`: reads its options, runs it; exits with 0, 1 (failed), 2 (refused)."""
    chosen = tyro.cli(options, prog=name, args=ros2.own_arguments())

    def carry_out() -> int:
        ros2.require()
        from isthmus_deploy.ros.missions.operator import carry_out

        return carry_out(make(chosen), chosen)

    ros2.run(carry_out, name=name)
