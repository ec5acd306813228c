"""`isthmus-fly`: the operator's process. Arms the policy node, flies from take-off to landing, judges the flight."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from isthmus_deploy.ros import ros2
from isthmus_deploy.ros.flight_plan import FlightPlan


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
class Config:
    """Fly a policy that isthmus-deploy runs: take-off, hover, figure-eight, landing.

    Exits with 0 when the flight succeeded, 1 when it failed, and says why. Judged by the topic ground_truth.
    """

    namespace: str = ""
    """ROS namespace of the robot, such as /drone1."""
    plan: FlightPlan = field(default_factory=FlightPlan)
    limits: Limits = field(default_factory=Limits)
    settle_s: float = 1.0
    """Start of the hover that is not judged, s."""
    wait_s: float = 20.0
    """How long to wait for the policy node and the robot, s."""
    log: Path | None = None
    """Folder for flight.npz and flight.json."""


def main() -> None:
    """Entry point of `isthmus-fly`."""
    config = tyro.cli(Config, prog="isthmus-fly")
    ros2.run(lambda: _fly(config), name="isthmus-fly")


def _fly(config: Config) -> int:
    ros2.require()
    from isthmus_deploy.ros.mission_process import fly

    return fly(config)


if __name__ == "__main__":
    main()
