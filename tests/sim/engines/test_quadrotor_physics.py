"""Numbers worked out by hand from the Crazyflie's published parameters, on every engine that is here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from quadrotors import begin, level, scene_of, step
from workers import SIMULATORS, MakeWorker, missing, opened

from isthmus_sim.engine import Engine, State
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.robots.quadrotor.description import CRAZYFLIE, RPM

MakeEngine = Callable[[int], Engine]

# 3.16e-10 N/rpm² · (1800 rad/s · 60/2π)² = 0.093363 N; at 1200 rad/s 0.041495 N. Two fast, two slow: 0.103737 N apart.
FAST, SLOW = 1800.0, 1200.0
THRUST_DIFFERENCE = 0.103737


@pytest.fixture(params=["analytic", "mujoco", *SIMULATORS])
def make_engine(request: pytest.FixtureRequest) -> Iterator[MakeEngine]:
    """Number of worlds -> quadrotors."""
    if request.param == "analytic":
        yield lambda n: AnalyticQuadrotor(scene_of(), n)
    elif request.param == "mujoco":
        yield lambda n: MujocoEngine(scene_of(), n, num_threads=1)
    else:
        if reason := missing(request.param):
            pytest.skip(reason)
        yield from (partial(_in_the_air, make) for make in opened(SIMULATORS[request.param]()))


def _in_the_air(make: MakeWorker, n: int) -> Engine:
    return make(n, scene_of())


def run(engine: Engine, start: State, command: float | list[float], steps: int = 1, **params: torch.Tensor) -> State:
    """Where equal worlds are after `steps` control periods."""
    state = begin(engine, start, **params)
    for _ in range(steps):
        state = step(engine, torch.zeros(engine.num_envs, 4) + torch.tensor(command))
    return state


def test_hover_at_14476_rpm(make_engine: MakeEngine):
    """The reference's hover speed: in one second it drifts by less than the 1e-4 that its rounding explains."""
    state = run(make_engine(1), level(1, 14_476 * RPM), 14_476 * RPM, steps=100)
    assert abs(float(state["position"][0, 2])) < 1e-3
    assert abs(float(state["linear_velocity"][0, 2])) < 1e-3


def test_hover_speed_of_the_parameters():
    assert CRAZYFLIE.hover_speed == pytest.approx(14_476 * RPM, rel=1e-4)


def test_thrust_to_weight_is_2_25(make_engine: MakeEngine):
    """At 21,702 rpm the Crazyflie climbs with (2.25 - 1)·g = 12.2 m/s²."""
    state = run(make_engine(1), level(1, 21_702 * RPM), 21_702 * RPM, steps=10)
    assert float(state["linear_velocity"][0, 2]) / 0.1 == pytest.approx((2.2476 - 1) * 9.81, rel=1e-3)


def test_free_fall(make_engine: MakeEngine):
    """After 0.5 s: 4.905 m/s down, 1.226 m below; MuJoCo's semi-implicit step falls g·t·h/2 = 5 mm further."""
    state = run(make_engine(1), level(1), 0.0, steps=50)
    assert float(state["linear_velocity"][0, 2]) == pytest.approx(-4.905, abs=1e-4)
    assert float(state["position"][0, 2]) == pytest.approx(-1.22625, abs=6e-3)
    torch.testing.assert_close(state["position"][0, :2], torch.zeros(2))


def test_the_rotor_follows_its_set_point_with_150_ms(make_engine: MakeEngine):
    """From 1000 to 2000 rad/s: 1 - exp(-10/150) = 6.449 % of the gap after one step."""
    state = run(make_engine(1), level(1, 1000.0), 2000.0)
    torch.testing.assert_close(state["actuator"], torch.full((1, 4), 1064.493), rtol=1e-5, atol=0)


def test_the_rotor_rises_and_falls_at_its_own_pace(make_engine: MakeEngine):
    """55 ms up, 249 ms down: 16.625 % and 3.936 % of a gap of 1000 rad/s."""
    state = run(
        make_engine(1), level(1, [1000.0, 1000.0, 2000.0, 2000.0]), [2000.0, 2000.0, 1000.0, 1000.0],
        time_constant_up=torch.tensor([[0.055]]), time_constant_down=torch.tensor([[0.249]]),
    )  # fmt: skip
    torch.testing.assert_close(state["actuator"][0], torch.tensor([1166.247, 1166.247, 1960.635, 1960.635]))


def test_a_weak_battery_reaches_a_share_of_the_set_point(make_engine: MakeEngine):
    state = run(make_engine(1), level(1, 1000.0), 2000.0, steps=20, battery=torch.tensor([[0.5]]))
    torch.testing.assert_close(state["actuator"], torch.full((1, 4), 1000.0))


@pytest.mark.parametrize(
    ("rotors", "rates"),
    [
        # front_right, rear_right, rear_left, front_left. The left pair lifts: roll to the right, about +x (forward).
        # 0.028 m · 0.103737 N / 3.85e-6 kg·m² · 0.01 s
        ([SLOW, SLOW, FAST, FAST], (7.5445, 0.0, 0.0)),
        # The front pair lifts: nose up, about -y (left).
        ([FAST, SLOW, SLOW, FAST], (0.0, -7.5445, 0.0)),
        # Front right and rear left turn counter-clockwise: their reaction turns the body clockwise, about -z.
        # 0.005964552 m · 0.103737 N / 5.9675e-6 kg·m² · 0.01 s
        ([FAST, SLOW, FAST, SLOW], (0.0, 0.0, -1.03685)),
    ],
)
def test_a_pair_of_rotors_turns_the_body(make_engine: MakeEngine, rotors: list[float], rates: tuple[float, ...]):
    state = run(make_engine(1), level(1, rotors), rotors)
    torch.testing.assert_close(state["angular_velocity"][0], torch.tensor(rates), rtol=1e-4, atol=1e-4)


def test_force_acts_in_the_world_and_torque_in_the_body(make_engine: MakeEngine):
    """Turned by 90° of yaw: 0.027 N along world x gives 1 m/s² there; 3.85e-6 N·m about body x gives 1 rad/s²."""
    engine, start = make_engine(1), level(1)
    start["orientation"] = torch.tensor([[math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)]])
    engine.apply_wrench(torch.tensor([[0.027, 0.0, 0.0]]), torch.tensor([[3.85e-6, 0.0, 0.0]]))
    state = run(engine, start, 0.0)
    torch.testing.assert_close(state["linear_velocity"][0, :2], torch.tensor([0.01, 0.0]), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(state["angular_velocity"][0], torch.tensor([0.01, 0.0, 0.0]), rtol=1e-4, atol=1e-6)


def test_lift_points_along_the_bodys_z(make_engine: MakeEngine):
    """Rolled by 90° about +x, body z points along world -y: thrust of the weight accelerates by g that way."""
    start = level(1, CRAZYFLIE.hover_speed)
    start["orientation"] = torch.tensor([[math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0]])
    state = run(make_engine(1), start, CRAZYFLIE.hover_speed)
    expected = torch.tensor([0.0, -0.0981, -0.0981])
    torch.testing.assert_close(state["linear_velocity"][0], expected, rtol=1e-4, atol=1e-5)


def test_body_rates_turn_the_attitude_in_the_body_frame(make_engine: MakeEngine):
    """Rolled by 90°, then 1 rad/s about body z for 0.1 s: the quaternion is roll ⊗ yaw, not yaw ⊗ roll."""
    half = math.sqrt(0.5)
    start = level(1)
    start["orientation"] = torch.tensor([[half, half, 0.0, 0.0]])
    start["angular_velocity"] = torch.tensor([[0.0, 0.0, 1.0]])
    state = run(make_engine(1), start, 0.0, steps=10)
    c, s = math.cos(0.05), math.sin(0.05)
    torch.testing.assert_close(
        state["orientation"][0], torch.tensor([half * c, half * c, -half * s, half * s]), rtol=0, atol=1e-5
    )
