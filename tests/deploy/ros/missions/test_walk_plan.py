"""Where a walk is told to go."""

from __future__ import annotations

import math

import pytest

from isthmus_deploy.ros.missions.walk_plan import Leg, WalkPlan


def test_the_square_closes_and_the_way_sideways_leads_to_the_left():
    plan = WalkPlan(side_m=1.5, sideways_m=0.8)
    poses = dict(zip((leg.name for leg in plan.legs), plan.poses, strict=False))
    assert poses["side 2"] == pytest.approx((1.5, 0.0, math.pi / 2))
    assert poses["side 3"] == pytest.approx((1.5, 1.5, math.pi))
    assert poses["side 4"] == pytest.approx((0.0, 1.5, 1.5 * math.pi))
    assert poses["sideways"] == pytest.approx((0.0, 0.0, 2 * math.pi), abs=1e-12)
    assert plan.poses[-1] == pytest.approx((0.0, 0.8, 2 * math.pi))


def test_times_follow_from_lengths_and_speeds():
    plan = WalkPlan(side_m=1.2, speed=0.4, turn_rate=0.5, sideways_m=0.6, sideways_speed=0.2, stand_s=0.7)
    assert [leg.name for leg in plan.legs] == [
        "stand", "side 1", "turn 1", "side 2", "turn 2", "side 3", "turn 3", "side 4", "turn 4", "sideways", "halt",
    ]  # fmt: skip
    assert plan.duration_s == pytest.approx(2 * 0.7 + 4 * (3.0 + math.pi) + 3.0)
    assert "sideways" not in [leg.name for leg in WalkPlan(sideways_m=0.0).legs]


def test_a_leg_leads_where_its_velocity_points_and_waits_at_its_end():
    left = Leg(name="sideways", velocity=(0.0, 0.5, 0.0), duration_s=2.0)
    assert left.after((1.0, 2.0, math.pi / 2), 1.0) == pytest.approx((0.5, 2.0, math.pi / 2))
    assert left.after((1.0, 2.0, math.pi / 2), 9.0) == left.end((1.0, 2.0, math.pi / 2))
