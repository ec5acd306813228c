"""`isthmus-walk`: the operator's process for a robot that walks. Stands it up, walks it around, judges the walk."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from itertools import pairwise

import numpy as np

from isthmus_deploy.contracts.robot_interface import RobotInterface
from isthmus_deploy.ros.missions import mission
from isthmus_deploy.ros.missions.log import MissionLog
from isthmus_deploy.ros.missions.mission import Judgement, Mission, Phase, Vector
from isthmus_deploy.ros.missions.walk_log import ASKED, SETTLE_S, following
from isthmus_deploy.ros.missions.walk_plan import Pose, WalkPlan
from isthmus_deploy.ros.truth import Truth, heading

_PATIENCE = 3.0  # times its duration, after which a turn has failed
_LIES = 0.55  # of the height at which its base stood
_SLOW = 0.05  # m/s and rad/s


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When the walk counts as failed.

    The robot is steered by nobody between the corners: a policy that turns by 5° unasked on each side of 1.5 m, and
    walks a tenth too slow, ends 0.3 m away. One that only stands is wrong by the whole of the asked velocity, 0.6 m/s.
    """

    tilt_deg: float = 60.0
    """Tilt at which the robot has fallen, and the walk is stopped at once, degrees."""
    height_share: float = 0.37
    """Share of the height at which its base stood, below which it has fallen, and the walk is stopped at once."""
    velocity_mps: float = 0.2
    """Largest mean distance between asked and true velocity in a leg of the walk, m/s. Each step sways the body: a good
    walk has some 0.1."""
    turning_radps: float = 0.4
    """Largest mean distance between asked and true turning rate in a leg of the walk, rad/s."""
    away_m: float = 0.5
    """Largest distance from where the walk should have ended, m."""
    heading_deg: float = 20.0
    """Largest angle from the heading with which it should have ended, degrees."""


@dataclass(frozen=True, kw_only=True)
class Options(mission.Options):
    """Walk a robot that isthmus-deploy drives: stand up, a square, sideways, sit down.

    Velocities are streamed on cmd_vel. Sides are walked by time alone; the operator looks at the robot only to end its
    turns, and lets go the earlier the further it turned on after the turn before. Exits with 0 when the walk succeeded,
    1 when it failed, and says why. Judged by the topic ground_truth.
    """

    plan: WalkPlan = field(default_factory=WalkPlan)
    limits: Limits = field(default_factory=Limits)


class Walk(Mission):
    """Streams velocities, leg by leg."""

    name = "walk"
    asks = ("linear_velocity_command", "yaw_rate_command")
    columns = ASKED
    period_s = 0.02

    def __init__(self, options: Options) -> None:
        super().__init__()
        self._limits, self._plan = options.limits, options.plan
        self._legs, self._poses = options.plan.legs, options.plan.poses
        self._home: Pose = (0.0, 0.0, 0.0)
        self._starts: list[float] = []  # of the legs so far, s
        self._now_s = 0.0
        self._let_go: float | None = None  # heading at which a turn has just been let go, rad
        self._turns_on = 0.0  # angle by which the robot turned on after that, rad
        self._stuck: str | None = None
        self._stood_m = 0.0  # height of the base at the start, m

    def meet(self, robot: RobotInterface) -> None:
        super().meet(robot)
        self.watches = tuple(signal.name for signal in robot.signals if signal.name == "joint_position")

    def goals(self, asked: Vector) -> dict[str, Vector]:
        return {"linear_velocity_command": asked[:2], "yaw_rate_command": asked[2:3]}

    def rest(self, truth: Truth) -> Vector:
        x, y, _ = truth.position
        return np.array((0.0, 0.0, 0.0, x, y, 0.0, truth.heading))

    def begin(self, truth: Truth) -> None:
        x, y, self._stood_m = truth.position.tolist()
        self._home = (x, y, truth.heading)
        self._starts.append(0.0)

    def ask(self, time_s: float, truth: Truth) -> Vector | None:
        self._now_s = time_s
        self._watch_it_stop(time_s - self._starts[-1], truth)
        if self._leg_is_over(time_s - self._starts[-1], truth):
            turned = self._legs[len(self._starts) - 1].towards is not None
            self._let_go = truth.heading if turned else None  # too short a leg shows nothing of the turn before
            self._starts.append(time_s)
        i = len(self._starts) - 1
        if i == len(self._legs):
            return None
        leg = self._legs[i]
        self.phase = leg.name
        x, y, turned = self._in_world(*leg.after(self._poses[i], time_s - self._starts[i]))
        return np.array((*leg.velocity, x, y, 0.0, turned))

    def failure(self, truth: Truth) -> str | None:
        return self.fall(truth) or self._stuck

    def fall(self, truth: Truth) -> str | None:
        """How the robot has fallen, in words; None for one that stands."""
        limit, tilt = self._limits.tilt_deg, math.degrees(truth.tilt)
        if tilt > limit:
            return f"fell: tilted by {tilt:.0f}° in {self.phase} (at most {limit:g}°)"
        if truth.position[2] < self._fallen_m:
            return f"fell: base at {truth.position[2]:.2f} m in {self.phase} (at least {self._fallen_m:.2f} m)"
        return None

    @property
    def _fallen_m(self) -> float:
        return self._limits.height_share * self._stood_m

    def at_rest(self, truth: Truth) -> bool:
        speed = max(np.abs(truth.linear_velocity).max(), np.abs(truth.angular_velocity).max())
        return bool(truth.position[2] < _LIES * self._stood_m and speed < _SLOW)

    def judge(self, log: MissionLog, truth: Truth) -> Judgement:
        phases = self._phases(log)
        legs = following(log, self._legs, phases[1:-1])
        end = self._end(log)
        facts = {
            "following": legs,
            "end": end,
            "plan": asdict(self._plan),
            "limits": {**asdict(self._limits), "height_m": self._fallen_m},
            "phases": [asdict(phase) for phase in phases],
        }
        return Judgement(failures=self._shortfalls(legs, end), lines=_lines(legs, end), facts=facts)

    # --- on the way ---

    def _leg_is_over(self, time_s: float, truth: Truth) -> bool:
        leg = self._legs[len(self._starts) - 1]
        if leg.towards is None:
            return time_s >= leg.duration_s
        left = _wrapped(leg.towards - (truth.heading - self._home[2]))
        if time_s > _PATIENCE * leg.duration_s:
            self._stuck = f"{leg.name}: {math.degrees(left):.0f}° still to go after {time_s:.1f} s"
        return left <= self._turns_on

    def _watch_it_stop(self, time_s: float, truth: Truth) -> None:
        """Learns from the turn before how early to let go of the next, as a person does: robots differ."""
        if self._let_go is not None and time_s >= SETTLE_S:
            self._turns_on = _wrapped(truth.heading - self._let_go)
            self._let_go = None

    def _in_world(self, x: float, y: float, turned: float) -> Pose:
        home_x, home_y, home_turned = self._home
        c, s = math.cos(home_turned), math.sin(home_turned)
        return home_x + c * x - s * y, home_y + s * x + c * y, home_turned + turned

    # --- afterwards ---

    def _phases(self, log: MissionLog) -> list[Phase]:
        """The legs as they were walked, between standing up and sitting down."""
        time = log.arrays()["time"]
        if not len(time):
            return []
        starts = self._starts[: len(self._legs)]
        names = ["stand up", *(leg.name for leg in self._legs[: len(starts)]), "sit down"]
        bounds = [float(time[0]), *starts, self._now_s, float(time[-1])]
        return [Phase(name=name, start_s=a, end_s=b) for name, (a, b) in zip(names, pairwise(bounds), strict=True)]

    def _end(self, log: MissionLog) -> dict[str, float] | None:
        """How far from the plan's end the robot was before it sat down; None for a walk that did not get there."""
        arrays = log.arrays()
        ended = arrays["time"] <= self._now_s
        if len(self._starts) <= len(self._legs) or not ended.any():
            return None
        x, y, turned = self._in_world(*self._poses[-1])
        place, orientation = arrays["position"][ended][-1], arrays["orientation"][ended][-1]
        return {
            "away_m": math.hypot(place[0] - x, place[1] - y),
            "heading_deg": math.degrees(_wrapped(heading(orientation) - turned)),
        }

    def _shortfalls(self, legs: dict[str, dict[str, float]], end: dict[str, float] | None) -> list[str]:
        limits, failures = self._limits, []
        for name, limit, unit in (
            ("error_mps", limits.velocity_mps, "m/s"),
            ("turning_error_radps", limits.turning_radps, "rad/s"),
        ):
            worst = max(legs, key=lambda leg: legs[leg][name], default=None)
            if worst is not None and legs[worst][name] > limit:
                failures.append(
                    f"did not follow in {worst}: {legs[worst][name]:.2f} {unit} off (at most {limit:g} {unit})"
                )
        if end is None:
            return [*failures, "did not get to the end"]
        if end["away_m"] > limits.away_m:
            failures.append(f"ended {end['away_m']:.2f} m from where it should (at most {limits.away_m:g} m)")
        if abs(end["heading_deg"]) > limits.heading_deg:
            failures.append(f"ended turned by {end['heading_deg']:.0f}° (at most {limits.heading_deg:g}°)")
        return failures


def _lines(legs: dict[str, dict[str, float]], end: dict[str, float] | None) -> list[str]:
    lines = [
        f"{name:<9} {leg['forward']:+.2f} m/s forward, {leg['left']:+.2f} m/s left, {leg['turning']:+.2f} rad/s; "
        f"off by {leg['error_mps']:.2f} m/s, {leg['turning_error_radps']:.2f} rad/s"
        for name, leg in legs.items()
    ]
    if end:
        lines.append(f"ended {end['away_m']:.2f} m and {end['heading_deg']:+.0f}° from where it should")
    return lines


def _wrapped(angle: float) -> float:
    """The same angle within half a turn of 0, rad."""
    return math.remainder(angle, 2.0 * math.pi)


def main() -> None:
    """Entry point of `isthmus-walk`."""
    mission.command(Options, Walk, name="isthmus-walk")


if __name__ == "__main__":
    main()
