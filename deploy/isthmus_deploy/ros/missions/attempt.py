"""`isthmus-attempt`: the operator's process for a robot at a task without goals: starts it, waits until it is done.

Judged by the topic task_succeeded, which a stand-in at a task publishes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Annotated, ClassVar

import numpy as np
import tyro

from isthmus_deploy.contracts.robot_interface import RobotInterface
from isthmus_deploy.ros.missions import mission
from isthmus_deploy.ros.missions.log import MissionLog
from isthmus_deploy.ros.missions.mission import Judgement, Mission, Vector
from isthmus_deploy.ros.truth import Truth


@dataclass(frozen=True, kw_only=True)
class AttemptPlan:
    """What is asked of the robot: its task, in time."""

    time_s: Annotated[float, tyro.conf.arg(aliases=["--time-s"])] = 15.0
    """Time for it, s."""

    @property
    def duration_s(self) -> float:
        """How long it takes at most, s."""
        return self.time_s


@dataclass(frozen=True, kw_only=True)
class Options(mission.Options):
    """Let a robot that isthmus-deploy drives do its task, such as a stand-in with --task.

    Exits with 0 when the task was done in time, 1 when it was not.
    """

    plan: AttemptPlan = field(default_factory=AttemptPlan)


class Attempt(Mission):
    """Asks for nothing."""

    name = "attempt"
    asks = ()
    columns: ClassVar[dict[str, int]] = {}
    period_s = 0.02
    needs_success = True

    def __init__(self, options: Options) -> None:
        super().__init__()
        self._plan = options.plan
        self._took_s = 0.0

    def meet(self, robot: RobotInterface) -> None:
        super().meet(robot)
        self.watches = tuple(signal.name for signal in robot.signals if signal.name == "joint_position")

    def goals(self, asked: Vector) -> dict[str, Vector]:
        return {}

    def rest(self, truth: Truth) -> Vector:
        return np.zeros(0)

    def begin(self, truth: Truth) -> None:
        """It begins with the policy."""

    def ask(self, time_s: float, truth: Truth) -> Vector | None:
        self._took_s = time_s
        self.phase = "attempt"
        return None if self.succeeded or time_s > self._plan.time_s else np.zeros(0)

    def failure(self, truth: Truth) -> str | None:
        return None

    def at_rest(self, truth: Truth) -> bool:
        return True

    def judge(self, log: MissionLog, truth: Truth) -> Judgement:
        return Judgement(
            failures=[] if self.succeeded else [f"not done after {self._took_s:.1f} s"],
            lines=[f"done after {self._took_s:.1f} s"] if self.succeeded else [],
            facts={
                "took_s": self._took_s,
                "plan": asdict(self._plan),
                "phases": [{"name": "attempt", "start_s": 0.0, "end_s": self._took_s}],
            },
        )


def main() -> None:
    """Entry point of `isthmus-attempt`."""
    mission.command(Options, Attempt, name="isthmus-attempt")


if __name__ == "__main__":
    main()
