"""Where the quadrotor should be at what time: take-off, hover, figure-eight, landing. Pure functions of time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus_deploy.ros.missions.mission import Phase

Vector = NDArray[np.float64]

_SINK_M = 0.08  # the landing aims below the ground, so that a policy with a steady error still touches it


@dataclass(frozen=True, kw_only=True)
class FlightPlan:
    """Take-off, hover, figure-eight, landing, all relative to where the robot stands.

    The figure-eight is the one of "Learning to Fly in Seconds": x = A sin θ, y = A/2 sin 2θ, θ growing by 2π in
    `period_s`. It is entered and left over half a period each, in which θ speeds up from rest and slows down to it.
    """

    height_m: float = 1.0
    """Height of the flight above the ground, m."""
    climb_s: float = 2.5
    """Time for take-off and for landing, s each."""
    hover_s: float = 3.0
    """Time to settle and hover before the figure-eight, s."""
    laps: int = 2
    """Figure-eights at full speed; 0 for none."""
    period_s: float = 5.5
    """Time of one figure-eight at full speed, s."""
    size_m: float = 1.0
    """A, half the length of the figure-eight, m."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The parts of the flight in order, without gaps."""
        lengths = {"take-off": self.climb_s, "hover": self.hover_s}
        if self.laps:
            half = self.period_s / 2.0
            lengths |= {"enter": half, "figure-eight": self.laps * self.period_s, "leave": half}
        lengths["landing"] = self.climb_s
        ends = np.cumsum(list(lengths.values())).tolist()
        return tuple(
            Phase(name=name, start_s=end - length, end_s=end)
            for (name, length), end in zip(lengths.items(), ends, strict=True)
        )

    @property
    def duration_s(self) -> float:
        """Time of the whole flight, s."""
        return self.phases[-1].end_s

    def phase(self, time_s: float) -> str:
        """Name of the part that `time_s` falls in; the landing after the end."""
        return next((phase.name for phase in self.phases if time_s < phase.end_s), "landing")

    def reference(self, time_s: float) -> tuple[Vector, Vector]:
        """Position (3,) m and velocity (3,) m/s, world axes, relative to where the robot stood on the ground."""
        landing = self.phases[-1]
        if time_s >= landing.start_s:
            share, rate = _smooth(time_s - landing.start_s, self.climb_s)
            fall = self.height_m + _SINK_M
            return np.array((0.0, 0.0, self.height_m - fall * share)), np.array((0.0, 0.0, -fall * rate))
        share, rate = _smooth(time_s, self.climb_s)
        (x, y), (vx, vy) = self._figure_eight(time_s - self.climb_s - self.hover_s)
        return np.array((x, y, self.height_m * share)), np.array((vx, vy, self.height_m * rate))

    def _figure_eight(self, time_s: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """Position m and velocity m/s in the plane, `time_s` after entering the figure."""
        if self.laps == 0 or time_s <= 0.0:
            return (0.0, 0.0), (0.0, 0.0)
        angle, rate = self._angle(time_s)
        position = (self.size_m * math.sin(angle), 0.5 * self.size_m * math.sin(2.0 * angle))
        velocity = (self.size_m * rate * math.cos(angle), self.size_m * rate * math.cos(2.0 * angle))
        return position, velocity

    def _angle(self, time_s: float) -> tuple[float, float]:
        """θ, rad, and its rate, rad/s. Half a period of speeding up covers a quarter turn, and so does slowing down."""
        full, ramp = 2.0 * math.pi / self.period_s, self.period_s / 2.0
        end_of_laps = ramp + self.laps * self.period_s
        if time_s < ramp:
            return 0.5 * full * time_s**2 / ramp, full * time_s / ramp
        if time_s < end_of_laps:
            return full * (time_s - 0.5 * ramp), full
        left = max(0.0, end_of_laps + ramp - time_s)
        return full * (end_of_laps - 0.5 * ramp) + 0.5 * full * (ramp - left**2 / ramp), full * left / ramp


def _smooth(time_s: float, duration_s: float) -> tuple[float, float]:
    """A share that goes from 0 to 1 in `duration_s` with no jump in speed, and its rate, 1/s."""
    x = min(1.0, max(0.0, time_s / duration_s))
    return x * x * (3.0 - 2.0 * x), 6.0 * x * (1.0 - x) / duration_s
