"""`isthmus-fly`: the operator's process for what flies by a reference. From take-off to landing; judges the flight."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np

from isthmus_deploy.ros.missions import mission
from isthmus_deploy.ros.missions.flight_log import ASKED, tracking
from isthmus_deploy.ros.missions.flight_plan import FlightPlan
from isthmus_deploy.ros.missions.log import MissionLog
from isthmus_deploy.ros.missions.mission import Judgement, Mission, Vector
from isthmus_deploy.ros.truth import Truth

_TOUCHDOWN_S = 1.0  # after the landing's end, for a policy that is late on the ground
_ON_GROUND_M = 0.06


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When the flight counts as failed."""

    hover_m: float = 0.2
    """Largest root-mean-square error of the hover, m."""
    figure_eight_m: float = 0.35
    """Largest root-mean-square error of the figure-eight at full speed, m."""
    abort_m: float = 1.0
    """Distance from the reference at which the flight is stopped at once, m."""
    landing_m: float = 0.5
    """Largest distance from the point of take-off after landing, m."""


@dataclass(frozen=True, kw_only=True)
class Options(mission.Options):
    """Fly a policy that isthmus-deploy runs: take-off, hover, figure-eight, landing.

    Exits with 0 when the flight succeeded, 1 when it failed, and says why. Judged by the topic ground_truth.
    """

    plan: FlightPlan = field(default_factory=FlightPlan)
    limits: Limits = field(default_factory=Limits)
    settle_s: float = 1.0
    """Start of the hover that is not judged, s."""


class Flight(Mission):
    """Streams where the robot should be, relative to where it stood."""

    name = "flight"
    asks = ("reference_position", "reference_velocity")
    columns = ASKED
    period_s = 0.01

    def __init__(self, options: Options) -> None:
        super().__init__()
        self._options, self._plan = options, options.plan
        self._home = self._wanted = np.zeros(3)

    def goals(self, asked: Vector) -> dict[str, Vector]:
        return {"reference_position": asked[:3], "reference_velocity": asked[3:]}

    def rest(self, truth: Truth) -> Vector:
        return np.concatenate((truth.position, np.zeros(3)))

    def begin(self, truth: Truth) -> None:
        self._home = self._wanted = truth.position.copy()

    def ask(self, time_s: float, truth: Truth) -> Vector | None:
        over_s = time_s - self._plan.duration_s
        if over_s > _TOUCHDOWN_S or (over_s > 0.0 and self._height(truth) < _ON_GROUND_M):
            return None
        self.phase = self._plan.phase(time_s)
        offset, velocity = self._plan.reference(time_s)
        self._wanted = self._home + offset
        return np.concatenate((self._wanted, velocity))

    def failure(self, truth: Truth) -> str | None:
        distance, limit = float(np.linalg.norm(truth.position - self._wanted)), self._options.limits.abort_m
        return (
            f"{distance:.2f} m from the reference in {self.phase} (at most {limit:g} m)" if distance > limit else None
        )

    def at_rest(self, truth: Truth) -> bool:
        return True  # its motors stop at once, and it falls no further

    def judge(self, log: MissionLog, truth: Truth) -> Judgement:
        errors = tracking(log, self._plan, settle_s=self._options.settle_s)
        return Judgement(
            failures=self._shortfalls(errors, truth),
            lines=[f"{name:<13} rmse {e['rmse']:.3f} m, max {e['max']:.3f} m" for name, e in errors.items()],
            facts={
                "tracking_m": errors,
                "plan": asdict(self._plan),
                "limits": asdict(self._options.limits),
                "phases": [asdict(phase) for phase in self._plan.phases],
            },
        )

    def _shortfalls(self, errors: dict[str, dict[str, float]], truth: Truth) -> list[str]:
        limits = self._options.limits
        failures = []
        for phase, limit in (("hover", limits.hover_m), ("figure-eight", limits.figure_eight_m)):
            if phase in errors and errors[phase]["rmse"] > limit:
                failures.append(f"{phase}: rmse {errors[phase]['rmse']:.3f} m (at most {limit:g} m)")
        height, away = self._height(truth), float(np.linalg.norm(truth.position[:2] - self._home[:2]))
        if height > 2 * _ON_GROUND_M or away > limits.landing_m:
            failures.append(f"landing: {height:.2f} m above the ground, {away:.2f} m from the take-off")
        return failures

    def _height(self, truth: Truth) -> float:
        return float(truth.position[2] - self._home[2])


def main() -> None:
    """Entry point of `isthmus-fly`."""
    mission.command(Options, Flight, name="isthmus-fly")


if __name__ == "__main__":
    main()
