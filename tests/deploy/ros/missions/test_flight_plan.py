"""The reference that a mission flies."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus_deploy.ros.missions.flight_log import ASKED, tracking
from isthmus_deploy.ros.missions.flight_plan import FlightPlan
from isthmus_deploy.ros.missions.log import MissionLog

PLANS = [FlightPlan(), FlightPlan(laps=0), FlightPlan(laps=1, period_s=10.0, size_m=0.5, height_m=0.6)]


@pytest.mark.parametrize("plan", PLANS)
def test_velocity_is_the_derivative_of_position(plan):
    step = 1e-4
    for time in np.arange(0.0, plan.duration_s + 1.0, 0.0371):
        if min(abs(time - edge) for phase in plan.phases for edge in (phase.start_s, phase.end_s)) < 2 * step:
            continue
        difference = (plan.reference(time + step)[0] - plan.reference(time - step)[0]) / (2 * step)
        np.testing.assert_allclose(plan.reference(time)[1], difference, atol=1e-3)


@pytest.mark.parametrize("plan", PLANS)
def test_the_path_never_jumps(plan):
    times = np.arange(0.0, plan.duration_s + 1.0, 0.01)
    positions = np.array([plan.reference(time)[0] for time in times])
    assert np.abs(np.diff(positions, axis=0)).max() < 0.03


def test_the_figure_eight_has_its_period_size_and_centre():
    plan = FlightPlan(period_s=5.5, size_m=1.0, laps=2)
    phase = next(phase for phase in plan.phases if phase.name == "figure-eight")
    assert phase.end_s - phase.start_s == pytest.approx(11.0)
    path = np.array([plan.reference(time)[0] for time in np.linspace(phase.start_s, phase.end_s, 2001)])
    assert np.abs(path).max(axis=0) == pytest.approx([1.0, 0.5, 1.0], abs=1e-4)
    np.testing.assert_allclose(path[:1000], path[1000:2000], atol=1e-6)
    _, velocity = plan.reference(phase.start_s + 5.5 / 4)  # three eighths of a turn after the half that entering took
    assert np.linalg.norm(velocity) < 2 * np.pi / 5.5 * np.sqrt(2) + 1e-9


def test_it_starts_on_the_ground_and_ends_just_below_where_it_started():
    plan = FlightPlan()
    np.testing.assert_allclose(plan.reference(0.0), np.zeros((2, 3)))
    position, velocity = plan.reference(plan.duration_s)
    np.testing.assert_allclose(position, [0.0, 0.0, -0.08])
    np.testing.assert_allclose(velocity, np.zeros(3), atol=1e-9)


def test_phases_follow_each_other():
    plan = FlightPlan(laps=1, climb_s=1.0, hover_s=2.0, period_s=4.0)
    assert [phase.name for phase in plan.phases] == ["take-off", "hover", "enter", "figure-eight", "leave", "landing"]
    assert [plan.phase(time) for time in (0.0, 1.5, 4.0, 6.0, 10.0, 11.5, 99.0)] == [
        "take-off", "hover", "enter", "figure-eight", "leave", "landing", "landing",
    ]  # fmt: skip
    assert plan.duration_s == pytest.approx(12.0)


def test_tracking_error_worked_out_by_hand():
    plan = FlightPlan(laps=0, climb_s=1.0, hover_s=2.0)
    log = MissionLog(asked=ASKED)
    for time, x, z in ((0.5, 9.0, 0.0), (1.2, 9.0, 0.0), (2.1, 3.0, 4.0), (2.2, 0.0, 0.0), (3.5, 0.0, 1.0)):
        log.truth.append((time, x, 0.0, z, *(0.0,) * 16))
    errors = tracking(log, plan, settle_s=1.0)
    assert errors["hover"] == pytest.approx({"rmse": 12.5**0.5, "rmse_xy": 4.5**0.5, "mean": 2.5, "max": 5.0})
    assert errors["landing"]["max"] == pytest.approx(1.0)
