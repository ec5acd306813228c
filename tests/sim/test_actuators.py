"""What makes forces of commands: each formula by hand, and the same with NumPy, torch and Warp."""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isthmus_sim import actuator_formulas
from isthmus_sim.actuator_formulas import bound_to, dry_friction, lag_share, lagged, motor_torque, pd_effort
from isthmus_sim.actuators import Motor, PDMotors
from isthmus_sim.robots.quadruped.description import MOTORS, ROBOT

# Stall torque 40 N·m, of which 20 are allowed; no torque at 30 rad/s; the limits meet at the corner, 15 rad/s.
MOTOR = Motor(effort_limit=20.0, no_load_speed=30.0, corner_speed=15.0, armature=0.01)
CURVE = (MOTOR.effort_limit, MOTOR.saturation_effort, MOTOR.no_load_speed)
BY_HAND = [
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
]
"""Wanted N·m, at rad/s, what the motor gives of it, N·m."""


def torque(wanted: float, velocity: float, strength: float = 1.0) -> float:
    return float(motor_torque(wanted, velocity, strength, *CURVE))


def test_the_saturation_is_the_stall_torque_of_the_line_through_the_corner():
    assert MOTOR.saturation_effort == pytest.approx(40.0)
    hip = MOTORS["hip"]
    assert hip.saturation_effort == pytest.approx(23.7 / (1 - 13.5 / 30.1))
    assert hip.saturation_effort * (1 - hip.corner_speed / hip.no_load_speed) == pytest.approx(hip.effort_limit)


@pytest.mark.parametrize(("wanted", "velocity", "given_"), BY_HAND)
def test_the_motors_curve_by_hand(wanted: float, velocity: float, given_: float):
    assert torque(wanted, velocity) == pytest.approx(given_, abs=1e-9)


def test_strength_is_the_share_that_arrives():
    """The share is one of what the motor would give, also at its limit."""
    assert torque(12.0, 0.0, 0.8) == pytest.approx(9.6)
    assert torque(50.0, 0.0, 0.8) == pytest.approx(16.0)
    assert torque(50.0, 22.5, 1.1) == pytest.approx(11.0)


finite = st.floats(-100.0, 100.0)


@given(finite, st.floats(-60.0, 60.0), st.floats(0.1, 2.0))
def test_no_motor_gives_more_than_it_has(wanted: float, velocity: float, strength: float):
    found = torque(wanted, velocity, strength)
    assert abs(found) <= strength * MOTOR.effort_limit * (1 + 1e-9)
    if found * velocity > 0:  # it drives
        line = MOTOR.saturation_effort * (1 - abs(velocity) / MOTOR.no_load_speed)
        assert abs(found) <= strength * line + 1e-9
        assert abs(velocity) < MOTOR.no_load_speed
    assert found * wanted >= 0 or abs(found) < 1e-9, "a limit takes torque away, it does not turn it round"
    assert torque(-wanted, -velocity, strength) == pytest.approx(-found, abs=1e-9)


def test_a_controller_by_hand():
    """25·0.2 - 0.5·2 = 4; twice the stiffness 9; a target behind -6; each joint of each world its own numbers."""
    target, stiffness = np.array([[0.2, 0.2], [-0.2, 4.0]]), np.array([[25.0, 50.0], [25.0, 25.0]])
    velocity, damping = np.array([[2.0, 2.0], [2.0, 0.0]]), 0.5 * np.ones((2, 2))
    found = pd_effort(target, np.zeros((2, 2)), velocity, stiffness, damping)
    np.testing.assert_allclose(found, [[4.0, 9.0], [-6.0, 100.0]])


def test_dry_friction_is_the_motors_and_against_the_motion():
    """All of it when the joint turns, none at rest, and no jump between, which a step of physics could not follow."""
    found = dry_friction(np.array([-20.0, -2.0, -0.01, 0.0, 0.01, 2.0, 20.0]), 0.2)
    np.testing.assert_allclose(found, -found[::-1])
    assert found[3] == 0
    assert found[4] < 0.02
    np.testing.assert_allclose(found[5:], 0.2, rtol=0.01)
    assert (np.diff(dry_friction(np.linspace(-1.0, 1.0, 100), 0.2)) > 0).all()


def test_a_lag_by_hand():
    """Within one time constant it closes 1 - 1/e = 63.2 % of the gap, in two steps as in one; down at its own pace."""
    whole, half = lag_share(np.array([0.1]), 0.1), lag_share(np.array([0.1]), 0.05)
    np.testing.assert_allclose(lagged(0.0, 100.0, whole, 0.5), 63.21205588)
    np.testing.assert_allclose(lagged(lagged(0.0, 100.0, half, 0.5), 100.0, half, 0.5), 63.21205588)
    np.testing.assert_allclose(lagged(100.0, 0.0, whole, 0.5), 50.0)


# The same formula with another library's functions
# ---------------------------------------------------------------------------------------------------------------------
def torch_curve(wanted: list[float], velocity: list[float]) -> list[float]:
    def clip(value: torch.Tensor, low: torch.Tensor | float, high: torch.Tensor | float) -> torch.Tensor:
        return torch.minimum(torch.maximum(value, torch.as_tensor(low)), torch.as_tensor(high))

    return bound_to(motor_torque, clip=clip)(torch.tensor(wanted), torch.tensor(velocity), 1.0, *CURVE).tolist()


def warp_curve(wanted: list[float], velocity: list[float]) -> list[float]:
    wp = pytest.importorskip("warp", reason='needs pip install "isthmus[gpu]"')
    curve_of_warp = pytest.importorskip("isthmus_sim.engines.warp_motors").motor_torque

    @wp.kernel(enable_backward=False)
    def curve(
        wanted: wp.array[float],  # pyright: ignore
        velocity: wp.array[float],  # pyright: ignore
        limits: wp.vec3,  # pyright: ignore
        found: wp.array[float],  # pyright: ignore
    ):
        i = wp.tid()
        found[i] = curve_of_warp(wanted[i], velocity[i], 1.0, limits[0], limits[1], limits[2])

    with wp.ScopedDevice("cpu"):
        columns = [wp.array(values, dtype=float) for values in (wanted, velocity)]
        found = wp.zeros(len(wanted), dtype=float)
        wp.launch(curve, dim=len(wanted), inputs=[*columns, wp.vec3(*CURVE)], outputs=[found])
        return found.numpy().tolist()


@pytest.mark.parametrize("curve", [torch_curve, pytest.param(warp_curve, marks=pytest.mark.long)])
def test_the_motors_curve_is_the_same_with_other_libraries(curve: Callable[..., list[float]]):
    wanted, velocity, expected = (list(column) for column in zip(*BY_HAND, strict=True))
    assert curve(wanted, velocity) == pytest.approx(expected, abs=1e-5)


def test_binding_leaves_the_formula_as_it_was():
    bound_to(motor_torque, clip=None)
    assert actuator_formulas.clip is np.clip
    assert torque(50.0, 0.0) == 20.0


# Parameters
# ---------------------------------------------------------------------------------------------------------------------
def test_the_parameters_of_motors_are_those_of_their_joints():
    motors = ROBOT.actuators[0]
    assert isinstance(motors, PDMotors)
    by_name = {parameter.name: parameter for parameter in motors.parameters}
    assert list(by_name) == ["stiffness", "damping", "strength", "command_delay_s"]
    assert by_name["stiffness"].order == tuple(ROBOT.joints)
    assert by_name["stiffness"].nominal == (25.0,) * 12
    assert by_name["damping"].minimum == pytest.approx((0.45,) * 12)
    assert by_name["command_delay_s"].maximum == (0.015,)
