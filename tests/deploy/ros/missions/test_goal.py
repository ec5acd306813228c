"""The operator that gives goals, with a robot whose readings are made here."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from isthmus_deploy.contracts.robot_interface import RobotInterface
from isthmus_deploy.ros.missions.goal import GoalMission, Options
from isthmus_deploy.ros.missions.log import MissionLog, Series
from isthmus_deploy.ros.missions.mission import Judgement
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_deploy.ros.truth import Truth

GOALS = (0.5, -0.25, -0.5, 0.75)
HOLD_S = 1.0


@pytest.fixture
def arm(contract) -> RobotInterface:
    """The robot of two joints, with a goal for them."""
    interface = contract.interface()
    goal = dataclasses.replace(interface.signals[0], name="joint_position_goal")
    return dataclasses.replace(interface, signals=(*interface.signals, goal))


def reached(arm: RobotInterface, off: tuple[float, float], late_s: float = 0.3, end_s: float = 9.0) -> Judgement:
    """A mission whose arm is `off` from where it should be, after `late_s` in each goal."""
    mission = GoalMission(Options(goals=GOALS, hold_s=HOLD_S, steady_s=0.25))
    mission.meet(arm)
    assert mission.watches == ("joint_position",)
    series = Series(order=("hip", "knee"))
    log = MissionLog(asked=mission.columns, zero_s=100.0, readings={"joint_position": series})
    place = np.zeros(2)
    mission.begin(Truth())
    for time_s in np.arange(0.0, 5.0, 0.02).tolist():
        asked = mission.ask(time_s, Truth())
        if asked is None or time_s >= end_s:
            break
        if time_s % HOLD_S >= late_s:
            place = asked + np.array(off)
        series.samples.append((100.0 + time_s, *place.tolist()))
    return mission.judge(log, Truth())


def test_an_arm_that_gets_there_succeeds(arm: RobotInterface):
    judgement = reached(arm, (0.01, -0.02))
    assert judgement.failures == []
    assert judgement.facts["errors"] == pytest.approx([0.02, 0.02])
    assert [phase["name"] for phase in judgement.facts["phases"]] == ["goal 1", "goal 2"]


@pytest.mark.parametrize(
    ("robot", "failures"),
    [
        ({"off": (0.0, 0.08)}, ["goal 1: 0.080 off (at most 0.05)", "goal 2: 0.080 off (at most 0.05)"]),
        ({"off": (0.0, 0.0), "end_s": 1.2}, ["goal 2: no reading (at most 0.05)"]),
    ],
)
def test_one_that_does_not_fails_goal_by_goal(arm: RobotInterface, robot: dict, failures: list[str]):
    assert reached(arm, **robot).failures == failures


def test_an_arm_that_comes_too_late_was_not_there(arm: RobotInterface):
    """It gets to the first goal, from zero, in the last eighth of a second: half of what is judged is 0.5 off."""
    (first, _) = reached(arm, (0.0, 0.0), late_s=0.875).facts["errors"]
    assert first == pytest.approx(0.5 * 0.5, abs=0.05)


def test_before_the_start_it_asks_to_stay(arm: RobotInterface):
    mission = GoalMission(Options(goals=GOALS))
    mission.meet(arm)
    mission.readings["joint_position"] = np.array([0.3, -0.1])
    asked = mission.rest(Truth())
    assert mission.goals(asked)["joint_position_goal"].tolist() == [0.3, -0.1]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"goals": (0.5,)}, "1 numbers are no goals of 2 each"),
        ({"goals": ()}, "0 numbers are no goals of 2 each"),
        ({"goals": GOALS, "signal": "tip_goal"}, "asks for tip_goal, which two_joints does not take"),
        ({"goals": GOALS, "reading": "tip"}, "two_joints has no reading tip; it has joint_position, "),
        ({"goals": (0.1,), "signal": "goal"}, "goal is measured by nothing"),
    ],
)
def test_what_the_robot_does_not_have_is_refused(arm: RobotInterface, options: dict, reason: str):
    with pytest.raises(Refusal) as caught:
        GoalMission(Options(**options)).meet(arm)
    assert reason in str(caught.value)
