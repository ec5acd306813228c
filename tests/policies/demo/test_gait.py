"""Which feet stood follows from the robot's own model, whatever legs it has."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isthmus_policies.demo.report.missions.gait import foot_heights, standing
from isthmus_sim.description import RobotDescription
from isthmus_sim.robots import ROBOTS

LIFT_M = 0.03


def record(robot: RobotDescription, *, raised_m: float = 0.0, roll: float = 0.0, **angles: float) -> dict:
    """Two moments of a robot in its stance, with some joints elsewhere, raised and rolled about its forward axis."""
    stance = robot.stances["stand"]
    joints = dict(zip(robot.joints, stance.joints, strict=True)) | angles
    names = sorted(joints)  # as drivers have it, not as the description
    turned = (math.cos(roll / 2), math.sin(roll / 2), 0.0, 0.0)
    return {
        "time": np.array((0.0, 1.0)),
        "position": np.tile((4.0, -2.0, stance.height + raised_m), (2, 1)),
        "orientation": np.tile(turned, (2, 1)),
        "reading_order/joint_position": np.array(names),
        "reading_time/joint_position": np.array((0.0, 1.0)),
        "reading/joint_position": np.tile([joints[name] for name in names], (2, 1)),
    }


def test_a_bent_knee_lifts_its_own_foot():
    robot = ROBOTS["biped"]
    heights = foot_heights(robot, record(robot, left_knee_joint=0.9))
    assert heights[0, 1] == pytest.approx(0.0, abs=1e-6)
    assert heights[0, 0] > 0.05
    assert standing(robot, record(robot, left_knee_joint=0.9)).tolist() == [[False, True]] * 2


def test_the_ground_is_where_the_lowest_foot_stands():
    robot = ROBOTS["quadruped"]
    # Links of 0.213 m; thighs at 0.8 rad in front, 1.15 rad behind, knees at -1.5; feet 2 mm behind the calves' lines.
    front, rear = (
        0.213 * (math.cos(thigh) + math.cos(thigh - 1.5)) - 0.002 * math.sin(thigh - 1.5) for thigh in (0.8, 1.15)
    )
    expected = [0.0, 0.0, front - rear, front - rear]
    assert foot_heights(robot, record(robot))[0] == pytest.approx(expected, abs=1e-3)
    assert foot_heights(robot, record(robot, raised_m=LIFT_M))[0] == pytest.approx(np.add(expected, LIFT_M), abs=1e-3)


def test_a_rolled_body_lifts_the_feet_of_its_left():
    robot = ROBOTS["biped"]
    left, right = foot_heights(robot, record(robot, roll=0.1))[0]
    level = foot_heights(robot, record(robot))[0]
    assert level == pytest.approx(0.0, abs=1e-6)
    assert left > 0.0 > right
