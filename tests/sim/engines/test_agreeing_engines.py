"""Two engines, one robot: the analytic quadrotor and MuJoCo fly the same way."""

from __future__ import annotations

import pytest
import torch
from quadrotors import begin, scene_of, step, tumbling

from isthmus_sim.engine import Engine, State
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.robots.quadrotor.description import MAX_ROTOR_SPEED, sample_parameters
from isthmus_sim.rotations import rotation_matrix, to_world

WORLDS, STEPS = 64, 50


def fly(engine: Engine) -> State:
    """Half a second of random rotor commands with randomised airframes under a random wrench."""
    generator = torch.Generator().manual_seed(5)
    state = begin(engine, tumbling(WORLDS), **sample_parameters(WORLDS, generator))
    force, torque = (torch.randn(WORLDS, 3, generator=generator) for _ in range(2))
    engine.apply_wrench(0.01 * force, 1e-6 * torque)
    for _ in range(STEPS):
        state = step(engine, MAX_ROTOR_SPEED * torch.rand(WORLDS, 4, generator=generator))
    return state


def differences(first: State, second: State) -> dict[str, torch.Tensor]:
    """Per world, the largest difference; orientations up to their sign."""
    sign = (first["orientation"] * second["orientation"]).sum(-1, keepdim=True).sign()
    same = second | {"orientation": sign * second["orientation"]}
    return {name: (value - same[name]).abs().amax(-1) for name, value in first.items()}


@pytest.fixture(scope="module")
def flown() -> dict[str, State]:
    """End states: the analytic engine, and MuJoCo with sub-steps of 2, 1 and 0.5 ms."""
    steps = {"2 ms": 0.002, "1 ms": 0.001, "0.5 ms": 0.0005}
    ends = {name: fly(MujocoEngine(scene_of(timestep_s=dt), WORLDS, num_threads=1)) for name, dt in steps.items()}
    return ends | {"analytic": fly(AnalyticQuadrotor(scene_of(), WORLDS))}


def test_the_flight_is_a_violent_one(flown: dict[str, State]):
    """Or the tolerances below would say little: the airframes turn by tens of rad/s."""
    assert flown["analytic"]["angular_velocity"].abs().amax(-1).median() > 20


def test_half_a_second_of_random_commands_ends_in_the_same_place(flown: dict[str, State]):
    """MuJoCo's 2 ms semi-implicit Euler is first order, RK4 at 10 ms is of fourth: after 50 steps of tumbling at up
    to 70 rad/s the measured differences are 9 mm, 0.034, 16 mm/s and 0.35 rad/s (0.5 % of the rate). Twice that is
    allowed. The rotors' lag is solved exactly by both: only rounding is left."""
    bounds = {"position": 0.02, "orientation": 0.07, "linear_velocity": 0.035, "angular_velocity": 0.7,
              "actuator": 1e-3}  # fmt: skip
    found = differences(flown["2 ms"], flown["analytic"])
    assert {name: float(value.max()) for name, value in found.items() if value.max() > bounds[name]} == {}


@pytest.mark.parametrize("name", ["position", "orientation", "linear_velocity", "angular_velocity"])
def test_the_difference_is_mujocos_step_and_nothing_else(flown: dict[str, State], name: str):
    """A first-order method's error halves with its step; a difference in the models would stay."""
    errors = [float(differences(flown[dt], flown["analytic"])[name].mean()) for dt in ("2 ms", "1 ms", "0.5 ms")]
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(2.0, rel=0.1)


def test_the_analytic_engine_keeps_angular_momentum():
    """Without rotors no torque acts: the momentum in the world stays, though the body rates do not."""
    engine, start = AnalyticQuadrotor(scene_of(), 32), tumbling(32)
    start |= {"actuator": torch.zeros(32, 4), "angular_velocity": 4 * start["angular_velocity"]}

    def momentum(state: State) -> torch.Tensor:
        return to_world(rotation_matrix(state["orientation"]), engine.params["inertia"] * state["angular_velocity"])

    state = begin(engine, start)
    before = momentum(state)
    for _ in range(100):
        state = step(engine, torch.zeros(32, 4))
    torch.testing.assert_close(momentum(state), before, rtol=1e-3, atol=1e-8)
    assert (state["angular_velocity"] - start["angular_velocity"]).norm(dim=-1).median() > 1.0
