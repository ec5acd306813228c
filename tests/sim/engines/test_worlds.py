"""N worlds beside each other: parameters, resets, failures and saved states touch the worlds they name and no other."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from quadrotors import begin, fly, level, scene_of, step, tumbling, whole

from isthmus_sim.engine import Engine, UnsupportedError
from isthmus_sim.engines import make_engine as engine_by_name
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.robots.quadrotor.description import (
    CRAZYFLIE_IDENTIFIED,
    MAX_ROTOR_SPEED,
    PARAMETER_SIZES,
    ROBOT,
    parameter_tensors,
    sample_parameters,
)
from isthmus_sim.robots.quadrotor.mjcf import quadrotor_mjcf
from isthmus_sim.scene import Quantity

MakeEngine = Callable[[int], Engine]


def commands(steps: int, n: int, seed: int = 1) -> torch.Tensor:
    return MAX_ROTOR_SPEED * torch.rand(steps, n, 4, generator=torch.Generator().manual_seed(seed))


def drawn(n: int, seed: int = 0) -> dict[str, torch.Tensor]:
    return sample_parameters(n, torch.Generator().manual_seed(seed))


def grounded(n: int) -> MujocoEngine:
    return MujocoEngine(scene_of(ground=True), n, num_threads=1)


# Parameters
# ---------------------------------------------------------------------------------------------------------------------
def test_double_mass_is_half_the_acceleration_of_that_world(make_engine: MakeEngine):
    engine = make_engine(3)
    begin(engine, level(3))
    begin(engine, level(1), [1], mass=torch.tensor([[0.054]]))
    engine.apply_wrench(torch.tensor([[0.1, 0.0, 0.0]]).repeat(3, 1), torch.zeros(3, 3))
    speed = step(engine, torch.zeros(3, 4))["linear_velocity"][:, 0]
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
    make_engine: MakeEngine, name: str, factor: float, axis: int, ratio: float
):
    """Turning by a rotor imbalance about every axis, with one parameter of world 1 changed."""
    engine = make_engine(2)
    imbalance = [1500.0, 1100.0, 1400.0, 1300.0]
    begin(engine, level(2, imbalance))
    begin(engine, level(1, imbalance), [1], **{name: factor * engine.params[name][[1]]})
    rates = step(engine, torch.tensor([imbalance, imbalance]))["angular_velocity"][:, axis]
    assert abs(float(rates[0])) > 0.1
    assert float(rates[1] / rates[0]) == pytest.approx(ratio, rel=0.02)


def test_params_tells_what_was_set(make_engine: MakeEngine):
    engine, params = make_engine(3), drawn(2)
    begin(engine, level(2), [2, 0], **params)
    for name, size in PARAMETER_SIZES.items():
        assert engine.params[name].shape == (3, size)
        torch.testing.assert_close(engine.params[name][[2, 0]], params[name])
    assert float(engine.params["mass"][1]) == pytest.approx(0.027)


def test_parameters_that_change_while_a_world_goes_on_act_as_if_it_had_begun_with_them(make_engine: MakeEngine):
    """World 1 begins as it is and gets the parameters before its first step, world 0 begins with them."""
    engine, params = make_engine(2), drawn(1)
    begin(engine, tumbling(1), [0], **params)
    begin(engine, tumbling(1), [1])
    engine.set_params(torch.tensor([1]), params)
    for _ in range(5):
        state = step(engine, torch.tensor([[1500.0, 1100.0, 1400.0, 1300.0]] * 2))
    for name in ("position", "angular_velocity"):
        torch.testing.assert_close(state[name][0], state[name][1])
    torch.testing.assert_close(engine.params["mass"][:1], params["mass"])
    torch.testing.assert_close(engine.params["mass"][1:], params["mass"])
    with pytest.raises(UnsupportedError, match="cannot set drag; it can set: arm"):
        engine.set_params(torch.tensor([1]), {"drag": torch.ones(1, 1)})


def test_an_unknown_parameter_is_refused_with_the_known_ones(make_engine: MakeEngine):
    engine, one = make_engine(1), torch.ones(1, 1)
    with pytest.raises(UnsupportedError, match=r"cannot set drag, wheel; it can set: arm, battery, .*torque_ratio"):
        begin(engine, level(1), wheel=one, mass=one, drag=one)
    assert float(engine.params["mass"]) == pytest.approx(0.027), "nothing is set when something is refused"


def test_a_state_that_cannot_be_set_is_refused_with_what_can(make_engine: MakeEngine):
    engine = make_engine(1)
    with pytest.raises(UnsupportedError, match=r"cannot set altitude; it can set: .*position.*actuator"):
        begin(engine, level(1) | {"altitude": torch.ones(1, 1)}, mass=torch.ones(1, 1))
    assert float(engine.params["mass"]) == pytest.approx(0.027), "nothing is set when something is refused"


def test_capabilities_are_what_resets_take(make_engine: MakeEngine):
    assert make_engine(1).capabilities == {"wrench", "snapshots", *(f"params:{name}" for name in PARAMETER_SIZES)}


def test_mujocos_derived_constants_are_those_of_a_model_compiled_so():
    """mass, inertia → subtree mass, inverse weights, the mass matrix's diagonal."""
    other = replace(
        ROBOT, variations=(), mass=CRAZYFLIE_IDENTIFIED.mass, model=lambda looks: quadrotor_mjcf(CRAZYFLIE_IDENTIFIED)
    )
    changed, untouched = (MujocoEngine(scene_of(), n, num_threads=1) for n in (3, 1))
    compiled = MujocoEngine(scene_of(other), 1, num_threads=1)
    params, start, rows = parameter_tensors(CRAZYFLIE_IDENTIFIED, 1), tumbling(1), commands(20, 1)
    begin(changed, start, [1], **params)
    begin(compiled, start, **{p.name: params[p.name] for p in other.parameters})
    for name in ("body_mass", "body_inertia", "body_subtreemass", "body_invweight0", "dof_invweight0", "dof_M0"):
        field = torch.from_numpy(changed.batch.expand(name))
        torch.testing.assert_close(field[1], torch.from_numpy(getattr(compiled.model, name)), rtol=1e-6, atol=0)
        torch.testing.assert_close(field[0], torch.from_numpy(getattr(untouched.model, name)), rtol=1e-6, atol=0)
    found = fly(changed, rows.expand(-1, 3, -1))[:, 1]
    torch.testing.assert_close(found, fly(compiled, rows)[:, 0], rtol=1e-4, atol=1e-4)


# Reset
# ---------------------------------------------------------------------------------------------------------------------
def test_resetting_some_worlds_leaves_the_others_bit_for_bit(make_engine: MakeEngine):
    rows, some, others = commands(30, 8), [6, 1, 3], [0, 2, 4, 5, 7]
    trajectories = []
    for again in (False, True):
        engine = make_engine(8)
        begin(engine, tumbling(8))
        first = fly(engine, rows[:10])
        if again:
            begin(engine, tumbling(3, seed=9), some, **drawn(3))
        trajectories.append(torch.cat((first, fly(engine, rows[10:]))))
    assert torch.equal(trajectories[0][:, others], trajectories[1][:, others])
    assert not torch.equal(trajectories[0][10:, some], trajectories[1][10:, some])


def test_a_reset_puts_each_row_into_its_world(make_engine: MakeEngine):
    start, ids = tumbling(3), [4, 0, 2]
    state = begin(make_engine(5), start, ids)
    torch.testing.assert_close(whole(state)[ids], whole(start))


def test_what_a_reset_does_not_give_is_at_rest(make_engine: MakeEngine):
    engine = make_engine(2)
    begin(engine, tumbling(2))
    state = begin(engine, {"angular_velocity": torch.tensor([[1.0, 2.0, 3.0]])}, [1])
    assert state["angular_velocity"][1].tolist() == [1.0, 2.0, 3.0]
    assert state["orientation"][1].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert not state["linear_velocity"][1].any()
    assert not state["actuator"][1].any()


def test_the_wrench_outlives_a_reset(make_engine: MakeEngine):
    """It holds until it is set again: the world that was reset feels it as the other does."""
    engine = make_engine(2)
    begin(engine, level(2))
    engine.apply_wrench(torch.tensor([[0.1, 0.0, 0.0]]).repeat(2, 1), torch.tensor([[0.0, 0.0, 1e-5]]).repeat(2, 1))
    step(engine, torch.zeros(2, 4))
    before = whole(begin(engine, level(1), [0]))
    gained = whole(step(engine, torch.zeros(2, 4))) - before
    torch.testing.assert_close(gained[0, 7:13], gained[1, 7:13], rtol=1e-4, atol=1e-5)
    assert float(gained[0, 7]) == pytest.approx(0.1 / 0.027 * 0.01, rel=1e-4)


def test_a_world_that_was_reset_flies_as_a_new_one(make_engine: MakeEngine):
    """Nothing of the former episode is left: no warm start, no rotor speed, no time."""
    used, new = make_engine(2), make_engine(2)
    begin(used, tumbling(2, seed=3))
    fly(used, commands(25, 2, seed=4))
    trajectories = []
    for engine in (used, new):
        begin(engine, tumbling(2))
        trajectories.append(fly(engine, commands(10, 2)))
    assert torch.equal(*trajectories)


def test_a_reset_and_a_step_in_one_trip_are_the_same_as_two(make_engine: MakeEngine):
    from isthmus_sim.engine import Resets

    one, two, row = make_engine(3), make_engine(3), commands(1, 3)[0]
    for engine in (one, two):
        begin(engine, tumbling(3))
    resets = Resets(ids=torch.tensor([1]), state=tumbling(1, seed=5), params=drawn(1))
    two.advance(None, resets)
    assert torch.equal(whole(one.advance({"rotor_speed": row}, resets)), whole(step(two, row)))


# Failure
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "column", "value"),
    [("position", 1, float("nan")), ("angular_velocity", 0, 1e30), ("actuator", 3, float("nan"))],
)
def test_a_diverged_world_fails_alone(make_engine: MakeEngine, name: str, column: int, value: float):
    rows, others = commands(20, 4), [0, 1, 3]
    healthy, spoiled = make_engine(4), make_engine(4)
    begin(healthy, tumbling(4))
    start = tumbling(4)
    start[name][2, column] = value
    begin(spoiled, start)
    expected, found = fly(healthy, rows), fly(spoiled, rows)
    assert spoiled.failed().tolist() == [False, False, True, False]
    assert not healthy.failed().any()
    assert torch.equal(found[:, others], expected[:, others])


def test_a_command_that_is_no_number_fails_its_world_until_its_reset(make_engine: MakeEngine):
    """MuJoCo would put zero in its place and go on."""
    engine, command = make_engine(3), torch.full((3, 4), 1500.0)
    begin(engine, tumbling(3))
    command[1, 2] = float("nan")
    step(engine, command)
    assert engine.failed().tolist() == [False, True, False]
    begin(engine, tumbling(1), [1])
    state = step(engine, torch.full((3, 4), 1500.0))
    assert not engine.failed().any()
    assert torch.isfinite(whole(state)).all()


# Saved state
# ---------------------------------------------------------------------------------------------------------------------
def saved(engine: Engine) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in engine.state_dict().items()}


def test_a_saved_state_goes_on_bit_for_bit(make_engine: MakeEngine):
    """Also where some worlds have parameters of their own and others were never given any."""
    generator = torch.Generator().manual_seed(3)
    first, second = make_engine(6), make_engine(6)
    begin(first, tumbling(6))
    begin(first, tumbling(2, seed=1), [1, 4], **drawn(2))
    first.apply_wrench(0.01 * torch.randn(6, 3, generator=generator), 1e-6 * torch.randn(6, 3, generator=generator))
    fly(first, commands(15, 6))
    state = saved(first)
    assert {len(value) for value in state.values()} == {6}, "a row per world"
    going_on = fly(first, commands(15, 6, seed=2))
    fly(second, commands(3, 6, seed=8))
    second.load_state_dict(state)
    assert torch.equal(fly(second, commands(15, 6, seed=2)), going_on)
    assert all(torch.equal(second.params[name], first.params[name]) for name in PARAMETER_SIZES)
    assert torch.equal(second.force, first.force)
    assert torch.equal(second.torque, first.torque)


def test_a_saved_state_replaces_other_parameters(make_engine: MakeEngine):
    """An engine that was in use goes back to all parameters, also to those that nobody set."""
    first, second = make_engine(2), make_engine(2)
    begin(first, tumbling(2))
    begin(second, tumbling(2, seed=1), **drawn(2))
    second.load_state_dict(saved(first))
    assert torch.equal(fly(second, commands(10, 2)), fly(first, commands(10, 2)))


def test_a_snapshot_is_the_state_before_and_stays_as_it_is(make_engine: MakeEngine):
    """With the parameters it makes one world alone do again what it did among others."""
    engine, alone = make_engine(3), make_engine(1)
    begin(engine, tumbling(3), **drawn(3))
    engine.apply_wrench(torch.full((3, 3), 0.01), torch.full((3, 3), 1e-6))
    fly(engine, commands(5, 3))
    before, row = engine.snapshot(), commands(1, 3, seed=2)[0]
    kept = {name: value.clone() for name, value in before.items()}
    expected = whole(step(engine, row))[[1]]
    assert all(torch.equal(before[name], kept[name]) for name in kept)
    params = {f"params.{name}": value for name, value in engine.params.items()}
    alone.load_state_dict({name: value[[1]] for name, value in (before | params).items()})
    assert torch.equal(whole(step(alone, row[[1]])), expected)


def test_a_saved_state_in_contact_goes_on_bit_for_bit():
    """On the ground the contact solver starts from its last solution: that too is state."""
    first, second = grounded(6), grounded(6)
    start = tumbling(6)
    start["position"] = torch.tensor([0.0, 0.0, 0.05]).repeat(6, 1)
    start["linear_velocity"][:, 2] = -1.0
    begin(first, start)
    fly(first, torch.zeros(25, 6, 4))
    second.load_state_dict(saved(first))
    for engine in (first, second):
        fly(engine, torch.zeros(10, 6, 4))
    assert (first.qpos[:, 2] < 0.05).all(), "they lie on the ground"
    assert torch.equal(first.qpos, second.qpos)  # in float64: the solver's tolerance is finer than float32
    assert torch.equal(first.qvel, second.qvel)


# MuJoCo's own
# ---------------------------------------------------------------------------------------------------------------------
def test_mujocos_tensors_are_its_own_memory():
    engine = MujocoEngine(scene_of(), 3, num_threads=1)
    for name, live in (("qpos", engine.qpos), ("qvel", engine.qvel), ("ctrl", engine.ctrl)):
        assert live.data_ptr() == engine.batch.bind(name).ctypes.data, name
    engine.qpos[1, :3] = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    engine.qvel[1, 0] = 5.0
    place = step(engine, torch.zeros(3, 4))["position"]
    torch.testing.assert_close(place[1], torch.tensor([1.05, 2.0, 3.0]), rtol=0, atol=1e-3)
    assert place.dtype == torch.float32
    assert abs(float(place[0, 0])) < 1e-6


def test_a_quadrotor_lies_on_the_ground():
    """The stand-in robot starts on it."""
    engine = grounded(1)
    begin(engine, level(1) | {"position": torch.tensor([[0.0, 0.0, 0.1]])})
    fly(engine, torch.zeros(99, 1, 4))
    assert float(step(engine, torch.zeros(1, 4))["position"][0, 2]) == pytest.approx(0.012, abs=2e-3)


def test_a_physics_step_that_does_not_fit_the_control_period_is_refused():
    with pytest.raises(ValueError, match=r"0\.003 s does not divide the control period 0\.01 s"):
        MujocoEngine(scene_of(timestep_s=0.003), 1)


# Engines by name
# ---------------------------------------------------------------------------------------------------------------------
def test_an_unknown_engine_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'bullet'; there are: .*analytic.*mujoco"):
        engine_by_name(scene_of(), 1, "bullet")
    assert isinstance(engine_by_name(scene_of(), 2, "mujoco"), MujocoEngine)


def test_the_analytic_engine_refuses_what_it_is_not_made_for():
    force = Quantity(name="ground_force", kind="contact_force", of=("front_left",), shape=(1,), unit="N")
    scene = scene_of()
    with pytest.raises(UnsupportedError, match="reads no ground_force"):
        AnalyticQuadrotor(replace(scene, quantities=(*scene.quantities, force)), 1)
    with pytest.raises(UnsupportedError, match="four rotors crosswise, which crazyflie is not"):
        AnalyticQuadrotor(scene_of(replace(ROBOT, variations=())), 1)
