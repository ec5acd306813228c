"""Two engines, one robot: the analytic quadrotor and MuJoCo fly the same way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from isthmus_sim.engine import Engine, State
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor
from isthmus_sim.engines.mujoco_quadrotor import MujocoQuadrotor
from isthmus_sim.robots.quadrotor.description import MAX_ROTOR_SPEED, sample_parameters

WORLDS, STEPS = 64, 50


def fly(engine: Engine, start: State) -> State:
    """Half a second of random rotor commands with randomised airframes under a random wrench."""
    generator = torch.Generator().manual_seed(5)
    ids = torch.arange(WORLDS)
    engine.reset(ids, start)
    engine.set_params(ids, **sample_parameters(WORLDS, generator))
    force, torque = (torch.randn(WORLDS, 3, generator=generator) for _ in range(2))
    engine.apply_wrench(0.01 * force, 1e-6 * torque)
    for _ in range(STEPS):
        engine.step(MAX_ROTOR_SPEED * torch.rand(WORLDS, 4, generator=generator))
    return engine.read()


def differences(first: State, second: State) -> dict[str, torch.Tensor]:
    """Per world, the largest difference; orientations up to their sign."""
    sign = (first.orientation * second.orientation).sum(-1, keepdim=True).sign()
    pairs = {
        "position": first.position - second.position,
        "orientation": first.orientation - sign * second.orientation,
        "linear_velocity": first.linear_velocity - second.linear_velocity,
        "angular_velocity": first.angular_velocity - second.angular_velocity,
        "actuator": first.actuator - second.actuator,
    }
    return {name: value.abs().amax(-1) for name, value in pairs.items()}


@pytest.fixture(scope="module")
def flown() -> dict[str, State]:
    """End states: the analytic engine, and MuJoCo with sub-steps of 2, 1 and 0.5 ms."""
    generator = torch.Generator().manual_seed(0)
    orientation = torch.randn(WORLDS, 4, generator=generator)
    start = State(
        position=torch.randn(WORLDS, 3, generator=generator),
        orientation=orientation / orientation.norm(dim=-1, keepdim=True),
        linear_velocity=torch.randn(WORLDS, 3, generator=generator),
        angular_velocity=2 * torch.randn(WORLDS, 3, generator=generator),
        actuator=1000 + 500 * torch.rand(WORLDS, 4, generator=generator),
    )
    steps = {"2 ms": 0.002, "1 ms": 0.001, "0.5 ms": 0.0005}
    ends = {name: fly(MujocoQuadrotor(WORLDS, timestep=dt, num_threads=1), start) for name, dt in steps.items()}
    return ends | {"analytic": fly(AnalyticQuadrotor(WORLDS), start)}


def test_the_flight_is_a_violent_one(flown: dict[str, State]):
    """Or the tolerances below would say little: the airframes turn by tens of rad/s."""
    assert flown["analytic"].angular_velocity.abs().amax(-1).median() > 20


def test_half_a_second_of_random_commands_ends_in_the_same_place(flown: dict[str, State]):
    """MuJoCo's 2 ms semi-implicit Euler is first order, RK4 at 10 ms is of fourth: after 50 steps of tumbling at up
    to 70 rad/s the measured differences are 9 mm, 0.034, 16 mm/s and 0.35 rad/s (0.5 % of the rate). Twice that is
    allowed. The rotors' lag is solved exactly by both: only rounding is left."""
    bounds = {"position": 0.02, "orientation": 0.07, "linear_velocity": 0.035, "angular_velocity": 0.7}
    found = differences(flown["2 ms"], flown["analytic"])
    assert found.pop("actuator").max() < 1e-3
    assert {name: float(value.max()) for name, value in found.items() if value.max() > bounds[name]} == {}


@pytest.mark.parametrize("name", ["position", "orientation", "linear_velocity", "angular_velocity"])
def test_the_difference_is_mujocos_step_and_nothing_else(flown: dict[str, State], name: str):
    """A first-order method's error halves with its step; a difference in the models would stay."""
    errors = [float(differences(flown[dt], flown["analytic"])[name].mean()) for dt in ("2 ms", "1 ms", "0.5 ms")]
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(2.0, rel=0.1)


def test_the_analytic_engine_keeps_angular_momentum(tumbling: Callable[..., State]):
    """Without rotors no torque acts: the momentum in the world stays, though the body rates do not."""
    from isthmus_sim.rotations import rotation_matrix, to_world

    engine, start = AnalyticQuadrotor(32), tumbling(32)
    start.actuator = torch.zeros(32, 4)
    start.angular_velocity = 4 * start.angular_velocity
    engine.reset(torch.arange(32), start)

    def momentum() -> torch.Tensor:
        state = engine.read()
        return to_world(rotation_matrix(state.orientation), engine.params["inertia"] * state.angular_velocity)

    before, rates = momentum(), engine.read().angular_velocity.clone()
    for _ in range(100):
        engine.step(torch.zeros(32, 4))
    torch.testing.assert_close(momentum(), before, rtol=1e-3, atol=1e-8)
    assert (engine.read().angular_velocity - rates).norm(dim=-1).median() > 1.0
