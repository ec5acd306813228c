"""`isthmus-goal`: the operator's process for a robot that gets goals, such as joint angles; judges by its readings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np
import tyro

from isthmus_deploy.contracts.robot_interface import RobotInterface, SignalInterface
from isthmus_deploy.ros.missions import mission
from isthmus_deploy.ros.missions.log import MissionLog
from isthmus_deploy.ros.missions.mission import Judgement, Mission, Phase, Vector
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_deploy.ros.truth import Truth

_QUANTITY = ("shape", "unit", "frame", "order")


@dataclass(frozen=True, kw_only=True)
class Options(mission.Options):
    """Give a robot that isthmus-deploy drives one goal after the other, and see whether it gets there.

    Exits with 0 when it reached every goal, 1 when it did not, and says which. Judged by the robot's own readings.
    """

    goals: Annotated[tuple[float, ...], tyro.conf.Positional]
    """The goals one after the other, each with all its elements in the order of the signal, in its unit."""
    signal: str = "joint_position_goal"
    """Name of the goal in the robot's description."""
    reading: str | None = None
    """Name of the reading that must get there; by default the only one of the same shape, unit, frame and order."""
    hold_s: float = 3.0
    """Time for each goal, s."""
    steady_s: float = 0.5
    """End of that time that is judged, s."""
    tolerance: float = 0.05
    """Largest mean distance of an element from its goal then, in its unit."""


class GoalMission(Mission):
    """Gives goals that hold, each for the same time."""

    name = "goal"
    period_s = 0.05
    judged_by_truth = False

    def __init__(self, options: Options) -> None:
        super().__init__()
        self._options = options
        self.asks = (options.signal,)

    def meet(self, robot: RobotInterface) -> None:
        super().meet(robot)
        goal = next(signal for signal in robot.signals if signal.name == self._options.signal)
        self._reading = self._measured(robot, goal)
        self.watches = (self._reading,)
        size = len(goal.order)
        self.columns = {goal.name: size}
        values = self._options.goals
        if not values or len(values) % size:
            raise Refusal(f"{len(values)} numbers are no goals of {size} each ({', '.join(goal.order)})")
        self._goals = np.array(values).reshape(-1, size)

    def goals(self, asked: Vector) -> dict[str, Vector]:
        return {self._options.signal: asked}

    def rest(self, truth: Truth) -> Vector:
        return self.readings.get(self._reading, np.zeros(self._goals.shape[1])).copy()

    def begin(self, truth: Truth) -> None:
        """It begins with the first goal."""

    def ask(self, time_s: float, truth: Truth) -> Vector | None:
        index = int(time_s // self._options.hold_s)
        if index >= len(self._goals):
            return None
        self.phase = self._phase(index).name
        return self._goals[index]

    def failure(self, truth: Truth) -> str | None:
        return None

    def at_rest(self, truth: Truth) -> bool:
        return True

    def judge(self, log: MissionLog, truth: Truth) -> Judgement:
        series = log.readings[self._reading].arrays("reading", self._reading, log.zero_s)
        time, values = series[f"reading_time/{self._reading}"], series[f"reading/{self._reading}"]
        errors = [self._error(time, values, index) for index in range(len(self._goals))]
        tolerance = self._options.tolerance
        return Judgement(
            failures=[
                f"goal {i}: {'no reading' if error is None else f'{error:.3f} off'} (at most {tolerance:g})"
                for i, error in enumerate(errors, 1)
                if error is None or error > tolerance
            ],
            lines=[f"goal {i}: {error:.3f} off" for i, error in enumerate(errors, 1) if error is not None],
            facts={
                "goals": self._goals.tolist(),
                "errors": errors,
                "tolerance": tolerance,
                "phases": [asdict(self._phase(index)) for index in range(len(self._goals))],
            },
        )

    def _error(self, time: Vector, values: Vector, index: int) -> float | None:
        """Mean distance of the worst element at the end of a goal's time; None without a reading then."""
        end_s = self._phase(index).end_s
        steady = values[(time >= end_s - self._options.steady_s) & (time < end_s)]
        return float(np.abs(steady - self._goals[index]).mean(axis=0).max()) if len(steady) else None

    def _phase(self, index: int) -> Phase:
        hold_s = self._options.hold_s
        return Phase(name=f"goal {index + 1}", start_s=index * hold_s, end_s=(index + 1) * hold_s)

    def _measured(self, robot: RobotInterface, goal: SignalInterface) -> str:
        names = [signal.name for signal in robot.signals]
        if self._options.reading in names:
            return self._options.reading
        if self._options.reading is not None:
            raise Refusal(f"{robot.robot} has no reading {self._options.reading}; it has {', '.join(names)}")
        same = [
            signal.name
            for signal in robot.signals
            if signal.name != goal.name and all(getattr(signal, field) == getattr(goal, field) for field in _QUANTITY)
        ]
        if len(same) != 1:
            raise Refusal(
                f"{goal.name} is measured by {', '.join(same) or 'nothing'}: say by --reading which is judged"
            )
        return same[0]


def main() -> None:
    """Entry point of `isthmus-goal`."""
    mission.command(Options, GoalMission, name="isthmus-goal")


if __name__ == "__main__":
    main()
