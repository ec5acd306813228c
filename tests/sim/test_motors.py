"""What a joint's drive gives: PD control inside of the motor's torque-speed curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_sim.engines.motors import MotorLimits, dry_friction, pd_torque
from isthmus_sim.robots.quadruped.description import MOTORS, Motor

# Stall torque 40 N·m, of which 20 are allowed; no torque at 30 rad/s; the limits meet at the corner, 15 rad/s.
MOTOR = Motor(effort_limit=20.0, no_load_speed=30.0, corner_speed=15.0, armature=0.01)
LIMITS = MotorLimits.of((MOTOR,))


def torque(
    wanted: float, velocity: float, *, stiffness: float = 100.0, damping: float = 0.0, strength: float = 1.0
) -> float:
    """Of a joint whose controller asks for `wanted` N·m at `velocity` rad/s, by a target that far away."""
    error = (wanted + damping * velocity) / stiffness
    columns = [np.array([[value]]) for value in (0.5 + error, 0.5, velocity, stiffness, damping, strength)]
    return float(pd_torque(*columns, LIMITS)[0, 0])  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_the_saturation_is_the_stall_torque_of_the_line_through_the_corner():
    assert MOTOR.saturation_effort == pytest.approx(40.0)
    hip = MOTORS["hip"]
    assert hip.saturation_effort == pytest.approx(23.7 / (1 - 13.5 / 30.1))
    assert hip.saturation_effort * (1 - hip.corner_speed / hip.no_load_speed) == pytest.approx(hip.effort_limit)


@pytest.mark.parametrize(
    ("wanted", "velocity", "given_"),
    [
        (12.0, 0.0, 12.0),  # within all limits: what PD asks for
        (-12.0, 0.0, -12.0),
        (50.0, 0.0, 20.0),  # stalled: the effort limit, not the stall torque
        (50.0, 15.0, 20.0),  # the corner
        (50.0, 22.5, 10.0),  # beyond it the line: 40 · (1 - 22.5 / 30)
        (8.0, 22.5, 8.0),
        (50.0, 30.0, 0.0),  # no-load speed
        (50.0, 33.0, 0.0),  # beyond: a motor does not drive, nor does it brake unasked
        (-50.0, 33.0, -20.0),  # braking: turned forwards, it gives all the torque backwards
        (-50.0, 10.0, -20.0),
        (-7.0, 33.0, -7.0),
        (-50.0, -22.5, -10.0),  # and the same backwards
        (-50.0, -31.0, 0.0),
        (50.0, -31.0, 20.0),
    ],
)
def test_the_curve_by_hand(wanted: float, velocity: float, given_: float):
    assert torque(wanted, velocity) == pytest.approx(given_, abs=1e-9)


def test_strength_is_the_share_that_arrives():
    """Of what the motor would give, also at its limit."""
    assert torque(12.0, 0.0, strength=0.8) == pytest.approx(9.6)
    assert torque(50.0, 0.0, strength=0.8) == pytest.approx(16.0)
    assert torque(50.0, 22.5, strength=1.1) == pytest.approx(11.0)


def test_each_joint_of_each_world_has_its_own_numbers():
    """(worlds, joints): 25·0.2 - 0.5·2 = 4, twice the stiffness 9, a target behind -6."""
    two = MotorLimits.of((MOTORS["hip"], MOTORS["calf"]))
    target, stiffness = np.array([[0.2, 0.2], [-0.2, 4.0]]), np.array([[25.0, 50.0], [25.0, 25.0]])
    velocity, ones = np.array([[2.0, 2.0], [2.0, 0.0]]), np.ones((2, 2))
    found = pd_torque(target, np.zeros((2, 2)), velocity, stiffness, 0.5 * ones, ones, two)
    np.testing.assert_allclose(found, [[4.0, 9.0], [-6.0, 45.43]])


finite = st.floats(-100.0, 100.0)


@given(finite, st.floats(-60.0, 60.0), st.floats(1.0, 200.0), st.floats(0.0, 5.0), st.floats(0.1, 2.0))
def test_no_motor_gives_more_than_it_has(
    wanted: float, velocity: float, stiffness: float, damping: float, strength: float
):
    found = torque(wanted, velocity, stiffness=stiffness, damping=damping, strength=strength)
    assert abs(found) <= strength * MOTOR.effort_limit * (1 + 1e-9)
    if found * velocity > 0:  # it drives
        line = MOTOR.saturation_effort * (1 - abs(velocity) / MOTOR.no_load_speed)
        assert abs(found) <= strength * line + 1e-9
        assert abs(velocity) < MOTOR.no_load_speed
    assert found * wanted >= 0 or abs(found) < 1e-9, "a limit takes torque away, it does not turn it round"
    assert torque(-wanted, -velocity, stiffness=stiffness, damping=damping, strength=strength) == pytest.approx(
        -found, abs=1e-9
    )


def test_dry_friction_is_the_motors_and_against_the_motion():
    """All of it when the joint turns, none at rest, and no jump between, which a step of physics could not follow."""
    speeds = np.array([[-20.0], [-2.0], [-0.01], [0.0], [0.01], [2.0], [20.0]])
    found = dry_friction(speeds, LIMITS)[:, 0]
    np.testing.assert_allclose(found, -found[::-1])
    assert found[3] == 0
    assert found[4] < 0.1 * MOTOR.friction
    np.testing.assert_allclose(found[5:], MOTOR.friction, rtol=0.01)
    assert (np.diff(dry_friction(np.linspace(-1.0, 1.0, 100)[:, None], LIMITS)[:, 0]) > 0).all()
