"""The operator of a walk, with a robot that is a point on the ground: what it asks, when it ends, how it judges."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from isthmus_deploy.ros.missions.log import MissionLog
from isthmus_deploy.ros.missions.mission import Judgement
from isthmus_deploy.ros.missions.walk import Limits, Options, Walk
from isthmus_deploy.ros.missions.walk_plan import WalkPlan
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_deploy.ros.truth import Truth

STEP_S = 0.02
PLAN = WalkPlan(side_m=1.0, stand_s=0.6, sideways_m=0.6)


@dataclass(kw_only=True)
class Point:
    """Does what it is asked, but for a share of the velocity and an own turning rate, rad/s; it turns on for some
    steps after a turn; its base sinks to a share of its height as soon as it moves."""

    share: float = 1.0
    drift: float = 0.0
    turns_on_steps: int = 0
    tilt: float = 0.0
    height: float = 0.3
    sinks: float = 1.0
    pose: tuple[float, float, float] = (2.0, -1.0, 0.7)
    _turning: list[float] = field(default_factory=list)

    def truth(self, velocity: np.ndarray) -> Truth:
        x, y, heading = self.pose
        c, s = math.cos(heading / 2), math.sin(heading / 2)
        cx, sx = math.cos(self.tilt / 2), math.sin(self.tilt / 2)
        return Truth(
            position=np.array((x, y, self.height)),
            orientation=np.array((c * cx, c * sx, s * sx, s * cx)),
            linear_velocity=np.array((velocity[0], velocity[1], 0.0)),
            angular_velocity=np.array((0.0, 0.0, velocity[2])),
        )

    def move(self, asked: np.ndarray) -> Truth:
        velocity = self.share * asked[:3] + np.array((0.0, 0.0, self.drift if asked[:3].any() else 0.0))
        x, y, heading = self.pose
        self._turning.append(velocity[2])
        if not asked[2] and self.turns_on_steps:
            velocity[2] = max(self._turning[-1 - self.turns_on_steps :])
        forward, left, turning = velocity
        self.height *= self.sinks
        self.sinks = 1.0
        x += (math.cos(heading) * forward - math.sin(heading) * left) * STEP_S
        y += (math.sin(heading) * forward + math.cos(heading) * left) * STEP_S
        self.pose = (x, y, heading + turning * STEP_S)
        return self.truth(velocity)


def walked(robot: Point, plan: WalkPlan = PLAN, limits: Limits | None = None) -> tuple[str | None, Judgement]:
    """Why the walk ended early, and how it was judged."""
    walk = Walk(Options(plan=plan, limits=limits or Limits()))
    truth, time_s, failure = robot.truth(np.zeros(3)), 0.0, None
    log = MissionLog(asked=walk.columns)
    log.truth.append(_sample(-STEP_S, truth, walk.rest(truth)))
    walk.begin(truth)
    while failure is None and (asked := walk.ask(time_s, truth)) is not None:
        failure = walk.failure(truth)
        log.truth.append(_sample(time_s, truth, asked))
        time_s, truth = time_s + STEP_S, robot.move(asked)
        assert time_s < 100.0
    return failure, walk.judge(log, truth)


def _sample(time_s: float, truth: Truth, asked: np.ndarray) -> tuple[float, ...]:
    return (time_s, *(value for part in vars(truth).values() for value in part.tolist()), *asked.tolist())


def test_a_robot_that_does_as_it_is_told_ends_where_the_plan_does():
    failure, judgement = walked(Point())
    assert failure is None
    assert judgement.failures == []
    assert judgement.facts["end"]["away_m"] < 0.05
    assert abs(judgement.facts["end"]["heading_deg"]) < math.degrees(STEP_S * PLAN.turn_rate) + 0.1
    names = [phase["name"] for phase in judgement.facts["phases"]]
    assert names == ["stand up", *(leg.name for leg in PLAN.legs), "sit down"]
    assert judgement.facts["following"]["side 2"]["forward"] == pytest.approx(PLAN.speed)
    assert judgement.facts["following"]["sideways"]["left"] == pytest.approx(PLAN.sideways_speed)


def test_turns_end_by_the_robots_heading_not_by_time():
    _, judgement = walked(Point(share=0.85))
    slow = {phase["name"]: phase["end_s"] - phase["start_s"] for phase in judgement.facts["phases"]}
    assert slow["side 1"] == pytest.approx(PLAN.side_m / PLAN.speed, abs=2 * STEP_S)
    assert slow["turn 2"] > 1.03 * math.pi / 2 / PLAN.turn_rate
    assert judgement.failures == []


@pytest.mark.parametrize("steps", [5, 10])
def test_the_operator_learns_how_far_the_robot_turns_on(steps: int):
    """The first turn ends too late by that, and the others where they should, to a step."""
    robot, walk = Point(turns_on_steps=steps), Walk(Options(plan=PLAN))
    truth, time_s, headings = robot.truth(np.zeros(3)), 0.0, {}
    walk.begin(truth)
    while (asked := walk.ask(time_s, truth)) is not None:
        time_s, truth = time_s + STEP_S, robot.move(asked)
        headings[walk.phase] = robot.pose[2] - 0.7
    too_far = [headings[f"side {i + 1}"] - i * math.pi / 2 for i in (1, 2, 3)]
    assert too_far[0] == pytest.approx(steps * STEP_S * PLAN.turn_rate, abs=STEP_S * PLAN.turn_rate)
    assert too_far[1:] == pytest.approx([0.0, 0.0], abs=STEP_S * PLAN.turn_rate)


def test_a_side_that_is_too_short_to_watch_the_robot_stop_teaches_nothing():
    """Else half of the next turn would be taken for how far the robot turns on, and the one after it be cut short."""
    _, judgement = walked(Point(), WalkPlan(side_m=0.2, sideways_m=0.6))
    assert abs(judgement.facts["end"]["heading_deg"]) < math.degrees(STEP_S * PLAN.turn_rate) + 0.1
    assert judgement.facts["end"]["away_m"] < 0.05


def test_the_reference_stays_on_the_plan_while_the_robot_strays():
    walk = Walk(Options(plan=PLAN))
    start = Point().truth(np.zeros(3))
    walk.begin(start)
    asked = walk.ask(0.0, start)
    for time_s in np.arange(STEP_S, PLAN.stand_s + 1.0 / PLAN.speed, STEP_S).tolist():
        asked = walk.ask(time_s, start)
    assert asked is not None
    c, s = math.cos(0.7), math.sin(0.7)
    assert asked[3:5] == pytest.approx((2.0 + c, -1.0 + s), abs=0.02)
    assert asked[6] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("robot", "cause"),
    [
        (Point(share=0.0), "turn 1: 90° still to go after"),
        (Point(tilt=1.2), "fell: tilted by 69° in stand"),
        (Point(sinks=0.2), "fell: base at 0.06 m in stand (at least 0.11 m)"),
        (Point(height=0.75, sinks=0.3), "fell: base at 0.22 m in stand (at least 0.28 m)"),
    ],
)
def test_what_ends_a_walk_at_once(robot: Point, cause: str):
    failure, judgement = walked(robot)
    assert failure is not None
    assert cause in failure
    assert judgement.facts["end"] is None
    assert judgement.facts["phases"][-1]["name"] == "sit down"


@pytest.mark.parametrize(
    ("robot", "limits", "cause"),
    [
        (Point(share=0.5), Limits(), "did not follow in side 1: 0.30 m/s off"),
        (Point(share=0.75), Limits(turning_radps=0.1), "did not follow in turn 1: 0.20 rad/s off"),
        (Point(drift=0.3), Limits(), "ended turned by"),
        (Point(share=0.8), Limits(away_m=0.1), "m from where it should (at most 0.1 m)"),
    ],
)
def test_what_fails_a_walk_that_got_to_its_end(robot: Point, limits: Limits, cause: str):
    failure, judgement = walked(robot, limits=limits)
    assert failure is None
    assert cause in "; ".join(judgement.failures)


def test_a_walk_that_never_began_is_judged_all_the_same():
    walk = Walk(Options())
    log = MissionLog(asked=walk.columns)
    assert walk.judge(log, Truth()).facts["phases"] == []
    truth = Point().truth(np.zeros(3))
    log.truth.append(_sample(0.1, truth, walk.rest(truth)))
    judgement = walk.judge(log, truth)
    assert [phase["name"] for phase in judgement.facts["phases"]] == ["stand up", "sit down"]
    assert "did not get to the end" in judgement.failures


def test_a_robot_that_takes_no_velocity_is_refused(contract):
    """The robot of two joints has a goal of another kind."""
    with pytest.raises(Refusal, match="linear_velocity_command, yaw_rate_command, which two_joints does not take"):
        Walk(Options()).meet(contract.interface())


def test_it_waits_until_the_robot_lies():
    walk = Walk(Options())
    walk.begin(Point().truth(np.zeros(3)))
    assert not walk.at_rest(Point().truth(np.zeros(3)))
    assert not walk.at_rest(Point(height=0.06).truth(np.array((0.2, 0.0, 0.0))))
    assert walk.at_rest(Point(height=0.06).truth(np.zeros(3)))
