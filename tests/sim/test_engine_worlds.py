"""N worlds beside each other: parameters, resets, failures and saved states touch the worlds they name and no other."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import mujoco
import pytest
import torch

from isthmus_sim.engine import Engine, State, UnsupportedError
from isthmus_sim.engines import ENGINES
from isthmus_sim.engines import make_engine as engine_by_name
from isthmus_sim.engines.mujoco_batch import MujocoEngine
from isthmus_sim.engines.mujoco_quadrotor import MujocoQuadrotor
from isthmus_sim.robots.quadrotor.description import (
    CRAZYFLIE_IDENTIFIED,
    MAX_ROTOR_SPEED,
    PARAMETER_SIZES,
    parameter_tensors,
    sample_parameters,
)
from isthmus_sim.robots.quadrotor.mjcf import quadrotor_mjcf
from isthmus_sim.tasks.quadrotor import Quadrotor

MakeEngine = Callable[..., Engine]
MakeState = Callable[..., State]


def commands(steps: int, n: int, seed: int = 1) -> torch.Tensor:
    return MAX_ROTOR_SPEED * torch.rand(steps, n, 4, generator=torch.Generator().manual_seed(seed))


def whole(engine: Engine) -> torch.Tensor:
    """The state of every world as rows."""
    state = engine.read()
    return torch.cat([getattr(state, f.name) for f in fields(State)], dim=-1).clone()


def fly(engine: Engine, rows: torch.Tensor) -> torch.Tensor:
    """The trajectory under commands (steps, n, 4)."""
    trajectory = []
    for row in rows:
        engine.step(row)
        trajectory.append(whole(engine))
    return torch.stack(trajectory)


# Parameters
# ---------------------------------------------------------------------------------------------------------------------
def test_double_mass_is_half_the_acceleration_of_that_world(make_engine: MakeEngine, level: MakeState):
    engine = make_engine(3)
    engine.reset(torch.arange(3), level(3))
    engine.set_params(torch.tensor([1]), mass=torch.tensor([[0.054]]))
    engine.apply_wrench(torch.tensor([[0.1, 0.0, 0.0]]).repeat(3, 1), torch.zeros(3, 3))
    engine.step(torch.zeros(3, 4))
    speed = engine.read().linear_velocity[:, 0]
    assert float(speed[0]) == pytest.approx(0.1 / 0.027 * 0.01, rel=1e-4)
    assert float(speed[1]) == pytest.approx(float(speed[0]) / 2, rel=1e-4)
    assert float(speed[2]) == float(speed[0])


@pytest.mark.parametrize(
    ("name", "factor", "axis", "ratio"),
    [
        ("inertia", 2.0, 0, 0.5),
        ("inertia", 2.0, 1, 0.5),
        ("inertia", 2.0, 2, 0.5),
        ("arm", 2.0, 0, 2.0),
        ("arm", 2.0, 2, 1.0),
        ("torque_ratio", 2.0, 2, 2.0),
        ("torque_ratio", 2.0, 0, 1.0),
        ("thrust_coefficient", 1.5, 0, 1.5),
        ("thrust_coefficient", 1.5, 2, 1.5),
    ],
)
def test_a_parameter_of_one_world_reaches_its_physics(
    make_engine: MakeEngine, level: MakeState, name: str, factor: float, axis: int, ratio: float
):
    """Turning by a rotor imbalance about every axis, with one parameter of world 1 changed."""
    engine = make_engine(2)
    imbalance = [1500.0, 1100.0, 1400.0, 1300.0]
    engine.reset(torch.arange(2), level(2, imbalance))
    engine.set_params(torch.tensor([1]), **{name: factor * engine.params[name][[1]]})
    engine.step(torch.tensor([imbalance, imbalance]))
    rates = engine.read().angular_velocity[:, axis]
    assert abs(float(rates[0])) > 0.1
    assert float(rates[1] / rates[0]) == pytest.approx(ratio, rel=0.02)


def test_setting_parameters_leaves_the_state_alone(make_engine: MakeEngine, tumbling: MakeState):
    engine = make_engine(4)
    engine.reset(torch.arange(4), tumbling(4))
    before = whole(engine)
    engine.set_params(torch.tensor([0, 2]), **sample_parameters(2, torch.Generator().manual_seed(0)))
    assert torch.equal(whole(engine), before)


def test_params_tells_what_was_set(make_engine: MakeEngine):
    engine = make_engine(3)
    drawn = sample_parameters(2, torch.Generator().manual_seed(0))
    engine.set_params(torch.tensor([2, 0]), **drawn)
    for name, size in PARAMETER_SIZES.items():
        assert engine.params[name].shape == (3, size)
        torch.testing.assert_close(engine.params[name][[2, 0]], drawn[name])
    assert float(engine.params["mass"][1]) == pytest.approx(0.027)


def test_an_unknown_parameter_is_refused_with_the_known_ones(make_engine: MakeEngine):
    engine = make_engine(1)
    with pytest.raises(UnsupportedError, match=r"cannot set drag, wheel; it can set: arm, battery, .*torque_ratio"):
        engine.set_params(torch.arange(1), wheel=torch.ones(1, 1), mass=torch.ones(1, 1), drag=torch.ones(1, 1))
    assert float(engine.params["mass"]) == pytest.approx(0.027), "nothing is set when something is refused"


def test_capabilities_are_what_set_params_takes(make_engine: MakeEngine):
    engine = make_engine(1)
    names = {c.removeprefix("params:") for c in engine.capabilities if c.startswith("params:")}
    assert names == set(PARAMETER_SIZES)
    assert "wrench" in engine.capabilities


def test_mujocos_derived_constants_are_those_of_a_model_compiled_so(tumbling: MakeState):
    """mass, inertia → subtree mass, inverse weights, the mass matrix's diagonal (the anchors forgot them)."""
    changed, compiled = MujocoQuadrotor(3, num_threads=1), MujocoQuadrotor(1, CRAZYFLIE_IDENTIFIED, num_threads=1)
    changed.set_params(torch.tensor([1]), **parameter_tensors(CRAZYFLIE_IDENTIFIED, 1))
    untouched = MujocoQuadrotor(1, num_threads=1)
    for name in ("body_mass", "body_inertia", "body_subtreemass", "body_invweight0", "dof_invweight0", "dof_M0"):
        field = torch.from_numpy(changed.batch.expand(name))
        torch.testing.assert_close(field[1], torch.from_numpy(getattr(compiled.model, name)), rtol=1e-6, atol=0)
        torch.testing.assert_close(field[0], torch.from_numpy(getattr(untouched.model, name)), rtol=1e-6, atol=0)
    start, rows = tumbling(1), commands(20, 1)
    for engine, world in ((changed, 1), (compiled, 0)):
        engine.reset(torch.tensor([world]), start)
    found = fly(changed, rows.expand(-1, 3, -1))[:, 1]
    torch.testing.assert_close(found, fly(compiled, rows)[:, 0], rtol=1e-4, atol=1e-4)


# Reset
# ---------------------------------------------------------------------------------------------------------------------
def test_resetting_some_worlds_leaves_the_others_bit_for_bit(make_engine: MakeEngine, tumbling: MakeState):
    rows, some = commands(30, 8), torch.tensor([6, 1, 3])
    others = torch.tensor([0, 2, 4, 5, 7])
    trajectories = []
    for again in (False, True):
        engine = make_engine(8)
        engine.reset(torch.arange(8), tumbling(8))
        first = fly(engine, rows[:10])
        if again:
            engine.reset(some, tumbling(3, seed=9))
        trajectories.append(torch.cat((first, fly(engine, rows[10:]))))
    assert torch.equal(trajectories[0][:, others], trajectories[1][:, others])
    assert not torch.equal(trajectories[0][10:, some], trajectories[1][10:, some])


def test_a_reset_puts_each_row_into_its_world(make_engine: MakeEngine, tumbling: MakeState):
    engine, start = make_engine(5), tumbling(3)
    ids = torch.tensor([4, 0, 2])
    engine.reset(ids, start)
    rows = torch.cat([getattr(start, f.name) for f in fields(State)], dim=-1)
    torch.testing.assert_close(whole(engine)[ids], rows)


def test_the_wrench_outlives_a_reset(make_engine: MakeEngine, level: MakeState):
    """It holds until it is set again: the world that was reset feels it as the other does."""
    engine = make_engine(2)
    engine.reset(torch.arange(2), level(2))
    engine.apply_wrench(torch.tensor([[0.1, 0.0, 0.0]]).repeat(2, 1), torch.tensor([[0.0, 0.0, 1e-5]]).repeat(2, 1))
    engine.step(torch.zeros(2, 4))
    engine.reset(torch.tensor([0]), level(1))
    before = whole(engine)
    engine.step(torch.zeros(2, 4))
    gained = whole(engine) - before
    torch.testing.assert_close(gained[0, 7:13], gained[1, 7:13], rtol=1e-4, atol=1e-5)
    assert float(gained[0, 7]) == pytest.approx(0.1 / 0.027 * 0.01, rel=1e-4)


def test_a_world_that_was_reset_flies_as_a_new_one(make_engine: MakeEngine, tumbling: MakeState):
    """Nothing of the former episode is left: no warm start, no rotor speed, no time."""
    rows = commands(10, 2)
    used, new = make_engine(2), make_engine(2)
    used.reset(torch.arange(2), tumbling(2, seed=3))
    fly(used, commands(25, 2, seed=4))
    trajectories = []
    for engine in (used, new):
        engine.reset(torch.arange(2), tumbling(2))
        trajectories.append(fly(engine, rows))
    assert torch.equal(*trajectories)


# Failure
# ---------------------------------------------------------------------------------------------------------------------
def spoil_position(state: State) -> None:
    state.position[2, 1] = float("nan")


def spoil_rate(state: State) -> None:
    state.angular_velocity[2] = 1e30


def spoil_rotor(state: State) -> None:
    state.actuator[2, 3] = float("nan")


@pytest.mark.parametrize("spoil", [spoil_position, spoil_rate, spoil_rotor])
def test_a_diverged_world_fails_alone(make_engine: MakeEngine, tumbling: MakeState, spoil: Callable[[State], None]):
    rows, others = commands(20, 4), torch.tensor([0, 1, 3])
    healthy, spoiled = make_engine(4), make_engine(4)
    healthy.reset(torch.arange(4), tumbling(4))
    start = tumbling(4)
    spoil(start)
    spoiled.reset(torch.arange(4), start)
    expected, found = fly(healthy, rows), fly(spoiled, rows)
    assert spoiled.failed().tolist() == [False, False, True, False]
    assert not healthy.failed().any()
    assert torch.equal(found[:, others], expected[:, others])


def test_a_command_that_is_not_a_number_fails_its_world(make_engine: MakeEngine, tumbling: MakeState):
    """MuJoCo would put zero in its place and go on."""
    engine, command = make_engine(3), torch.full((3, 4), 1500.0)
    engine.reset(torch.arange(3), tumbling(3))
    command[1, 2] = float("nan")
    engine.step(command)
    assert engine.failed().tolist() == [False, True, False]


def test_a_failed_world_flies_again_after_its_reset(make_engine: MakeEngine, tumbling: MakeState):
    engine, command = make_engine(3), torch.full((3, 4), 1500.0)
    engine.reset(torch.arange(3), tumbling(3))
    command[1] = float("nan")
    engine.step(command)
    engine.reset(torch.tensor([1]), tumbling(1))
    engine.step(torch.full((3, 4), 1500.0))
    assert not engine.failed().any()
    assert torch.isfinite(whole(engine)).all()


# Saved state, live tensors, names
# ---------------------------------------------------------------------------------------------------------------------
def test_a_saved_state_goes_on_bit_for_bit(make_engine: MakeEngine, tumbling: MakeState):
    generator = torch.Generator().manual_seed(3)
    first, second = make_engine(6), make_engine(6)
    first.reset(torch.arange(6), tumbling(6))
    first.set_params(torch.tensor([1, 4]), **sample_parameters(2, generator))
    first.apply_wrench(0.01 * torch.randn(6, 3, generator=generator), 1e-6 * torch.randn(6, 3, generator=generator))
    fly(first, commands(15, 6))
    saved = {name: value.clone() for name, value in first.state_dict().items()}
    going_on = fly(first, commands(15, 6, seed=2))
    fly(second, commands(3, 6, seed=8))
    second.load_state_dict(saved)
    assert torch.equal(fly(second, commands(15, 6, seed=2)), going_on)
    for name in PARAMETER_SIZES:
        assert torch.equal(second.params[name], first.params[name])
    assert torch.equal(second.force, first.force)
    assert torch.equal(second.torque, first.torque)


def test_a_saved_state_in_contact_goes_on_bit_for_bit(tumbling: MakeState):
    """On the ground the contact solver starts from its last solution: that too is state."""
    first, second = (MujocoQuadrotor(6, scene=True, num_threads=1) for _ in range(2))
    start = tumbling(6)
    start.position = torch.tensor([0.0, 0.0, 0.05]).repeat(6, 1)
    start.linear_velocity[:, 2] = -1.0
    first.reset(torch.arange(6), start)
    fly(first, torch.zeros(25, 6, 4))
    saved = {name: value.clone() for name, value in first.state_dict().items()}
    second.load_state_dict(saved)
    for engine in (first, second):
        fly(engine, torch.zeros(10, 6, 4))
    assert (first.qpos[:, 2] < 0.05).all(), "they lie on the ground"
    assert torch.equal(first.qpos, second.qpos)  # in float64: the solver's tolerance is finer than float32
    assert torch.equal(first.qvel, second.qvel)


def test_mujocos_tensors_are_its_own_memory():
    engine = MujocoQuadrotor(3, num_threads=1)
    for name, live in (("qpos", engine.qpos), ("qvel", engine.qvel), ("ctrl", engine.ctrl)):
        assert live.data_ptr() == engine.batch.bind(name).ctypes.data, name
    engine.qpos[1, :3] = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    engine.qvel[1, 0] = 5.0
    engine.step(torch.zeros(3, 4))
    state = engine.read()
    torch.testing.assert_close(state.position[1], torch.tensor([1.05, 2.0, 3.0]), rtol=0, atol=1e-3)
    assert state.position.dtype == torch.float32
    assert abs(float(state.position[0, 0])) < 1e-6


def test_any_free_body_is_an_engine():
    """Nothing of the quadrotor is in `MujocoEngine`: controls in, fields per world, by MuJoCo's names."""
    engine = MujocoEngine(mujoco.MjModel.from_xml_string(quadrotor_mjcf()), 2, control_period_s=0.01, num_threads=1)
    engine.set_params(torch.tensor([1]), body_mass=torch.tensor([[0.0, 0.054]]))
    engine.step(torch.full((2, 4), 0.25 * 0.027 * 9.81))
    torch.testing.assert_close(
        engine.read().linear_velocity[:, 2], torch.tensor([0.0, -0.5 * 0.0981]), rtol=1e-4, atol=1e-6
    )
    with pytest.raises(UnsupportedError, match="no model field body_colour"):
        engine.set_params(torch.tensor([0]), body_colour=torch.ones(1, 1))


def test_a_model_that_cannot_be_a_robot_is_refused():
    hinge = "<mujoco><worldbody><body><joint/><geom size='0.1'/></body></worldbody></mujoco>"
    with pytest.raises(ValueError, match="freejoint"):
        MujocoEngine(mujoco.MjModel.from_xml_string(hinge), 1, control_period_s=0.01, num_threads=1)
    with pytest.raises(ValueError, match=r"0\.003 s does not divide the control period 0\.01 s"):
        MujocoQuadrotor(1, timestep=0.003)


def test_the_scene_has_ground_to_stand_on(level: MakeState):
    """The stand-in robot starts on it."""
    engine = MujocoQuadrotor(1, scene=True, num_threads=1)
    start = level(1)
    start.position[0, 2] = 0.1
    engine.reset(torch.arange(1), start)
    for _ in range(100):
        engine.step(torch.zeros(1, 4))
    assert float(engine.read().position[0, 2]) == pytest.approx(0.012, abs=2e-3)


def test_an_unknown_engine_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown engine 'bullet' for crazyflie; there are: analytic, mujoco"):
        engine_by_name(Quadrotor(), 1, "bullet")
    assert all(engine_by_name(Quadrotor(), 2, name).num_envs == 2 for name in ENGINES["crazyflie"])
