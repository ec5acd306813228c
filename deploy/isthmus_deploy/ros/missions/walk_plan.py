"""Which way a walking robot is told to go, and where that leads: a square, then sideways. Pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

Velocity = tuple[float, float, float]
"""Forward m/s, left m/s, turning left rad/s."""

Pose = tuple[float, float, float]
"""x m, y m, heading rad: relative to where the walk begins, x forward, y left."""


@dataclass(frozen=True, kw_only=True)
class Leg:
    """A part of the walk with one velocity; with `towards` rad, a turn that is over when the robot's heading is there.

    duration_s: how long it takes a robot that does as it is told.
    """

    name: str
    velocity: Velocity
    duration_s: float
    towards: float | None = None

    def end(self, start: Pose) -> Pose:
        """Where it leads from `start`, in its whole time."""
        x, y, heading = self.after(start, self.duration_s)
        return x, y, heading if self.towards is None else self.towards

    def after(self, start: Pose, time_s: float) -> Pose:
        """Where it leads from `start` in `time_s`, at most its duration; it goes straight or turns in place."""
        time_s = min(time_s, self.duration_s)
        forward, left, turning = self.velocity
        x, y, heading = start
        c, s = math.cos(heading), math.sin(heading)
        return x + (c * forward - s * left) * time_s, y + (s * forward + c * left) * time_s, heading + turning * time_s


@dataclass(frozen=True, kw_only=True)
class WalkPlan:
    """Stand, walk a square to the left, walk sideways to the left, stand."""

    side_m: float = 1.5
    """Side of the square, m."""
    speed: float = 0.6
    """Along the sides, m/s."""
    turn_rate: float = 0.8
    """Yaw rate in the corners, rad/s."""
    sideways_m: float = 1.0
    """Way to walk sideways, m; 0 for none."""
    sideways_speed: float = 0.3
    """m/s."""
    stand_s: float = 1.0
    """Time to stand before and after walking, s each."""

    @property
    def legs(self) -> tuple[Leg, ...]:
        """The parts of the walk in order."""
        stand = Leg(name="stand", velocity=(0.0, 0.0, 0.0), duration_s=self.stand_s)
        legs = [stand]
        for i in range(1, 5):
            legs.append(Leg(name=f"side {i}", velocity=(self.speed, 0.0, 0.0), duration_s=self.side_m / self.speed))
            legs.append(self._turn(i))
        if self.sideways_m:
            duration_s = self.sideways_m / self.sideways_speed
            legs.append(Leg(name="sideways", velocity=(0.0, self.sideways_speed, 0.0), duration_s=duration_s))
        return (*legs, Leg(name="halt", velocity=(0.0, 0.0, 0.0), duration_s=self.stand_s))

    def _turn(self, i: int) -> Leg:
        quarter = math.pi / 2.0
        return Leg(
            name=f"turn {i}",
            velocity=(0.0, 0.0, self.turn_rate),
            duration_s=quarter / self.turn_rate,
            towards=i * quarter,
        )

    @property
    def poses(self) -> tuple[Pose, ...]:
        """Where each leg begins, and where the last one ends."""
        return tuple(accumulate(self.legs, lambda pose, leg: leg.end(pose), initial=(0.0, 0.0, 0.0)))  # pyright: ignore

    @property
    def duration_s(self) -> float:
        """Time of the whole walk, s, for a robot that does as it is told."""
        return sum(leg.duration_s for leg in self.legs)
