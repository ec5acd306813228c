"""Legged robots in MuJoCo: drives, parameters and feet are what they are said to be, in every world by itself."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
import random
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import mujoco
import pytest
import torch
from isthmus_sim.engines.mujoco_legged import MujocoLegged

from isthmus_sim.engine import ArticulatedState, UnsupportedError
from isthmus_sim.robots.quadruped.description import (
    DEFAULT_POSE,
    GRAVITY,
    JOINTS,
    LEGS,
    MASS,
    SPEC,
    STAND_HEIGHT,
    TRUNK,
    foot_position,
)
from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf
from isthmus_sim.rotations import rotation_matrix, to_world

MakeLegged = Callable[..., MujocoLegged]
Standing = Callable[..., ArticulatedState]
POSE = torch.tensor(DEFAULT_POSE)


def targets(steps: int, n: int, seed: int = 1, size: float = 0.3) -> torch.Tensor:
    return POSE + size * torch.randn(steps, n, 12, generator=torch.Generator().manual_seed(seed))


def whole(engine: MujocoLegged) -> torch.Tensor:
    """The state of every world as rows."""
    state = engine.read()
    return torch.cat([getattr(state, f.name).flatten(1) for f in fields(state)], dim=-1).clone()


def walk(engine: MujocoLegged, rows: torch.Tensor) -> torch.Tensor:
    trajectory = []
    for row in rows:
        engine.step(row)
        trajectory.append(whole(engine))
    return torch.stack(trajectory)


def scattered(standing: Standing, n: int, seed: int = 0) -> ArticulatedState:
    """Robots above the ground and beside it, in any yaw, moving."""
    generator, state = torch.Generator().manual_seed(seed), standing(n, STAND_HEIGHT + 0.02)
    yaw = 6.28 * torch.rand(n, 1, generator=generator)
    zero = torch.zeros(n, 1)
    state.orientation = torch.cat(((yaw / 2).cos(), zero, zero, (yaw / 2).sin()), dim=-1)
    for name, size in (("position", 0.01), ("linear_velocity", 0.3), ("joint_position", 0.1), ("joint_velocity", 1.0)):
        value = getattr(state, name)
        setattr(state, name, value + size * torch.randn(value.shape, generator=generator))
    return state


@pytest.fixture
def stood(make_legged: MakeLegged, standing: Standing) -> Callable[..., MujocoLegged]:
    """n robots with these parameters, standing since 1.5 s."""

    def make(n: int, **params: torch.Tensor) -> MujocoLegged:
        engine = make_legged(n)
        if params:
            engine.set_params(torch.arange(n), **params)
        engine.reset(torch.arange(n), standing(n))
        walk(engine, POSE.expand(75, n, 12))
        return engine

    return make


# Drives
# ---------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def sub_stepped(make_legged: MakeLegged) -> Callable[[int], MujocoLegged]:
    """Robots whose control period is one physics step."""
    return lambda n: make_legged(n, spec=replace(SPEC, control_period_s=0.005))


@pytest.mark.parametrize(("delay", "old_steps"), [(0.0, 0), (0.005, 1), (0.011, 2), (0.02, 4)])
def test_a_target_acts_after_its_delay_to_the_physics_step(
    make_legged: MakeLegged, sub_stepped: MakeLegged, standing: Standing, delay: float, old_steps: int
):
    """Held to an engine that is told the target of every physics step: the one before for `delay`, then the new one."""
    delayed, by_hand = make_legged(1), sub_stepped(1)
    delayed.set_params(torch.tensor([0]), command_delay=torch.tensor([[delay]]))
    for engine in (delayed, by_hand):
        engine.reset(torch.tensor([0]), standing(1))
    before, torques = POSE.repeat(1, 1), []
    for target in targets(6, 1):
        delayed.step(target)
        torques = []
        for k in range(4):
            by_hand.step(before if k < old_steps else target)
            torques.append(by_hand.read().joint_torque)
        before = target
        assert torch.equal(delayed.qpos, by_hand.qpos)
        assert torch.equal(delayed.qvel, by_hand.qvel)
        torch.testing.assert_close(delayed.read().joint_torque, torch.stack(torques).mean(0))
    assert (delayed.qpos[0, 7:] - POSE).abs().max() > 0.05, "the targets did something"


def test_each_world_has_its_own_delay(make_legged: MakeLegged, standing: Standing):
    alone, together = [], make_legged(3)
    delays = torch.tensor([[0.0], [0.01], [0.02]])
    together.set_params(torch.arange(3), command_delay=delays)
    together.reset(torch.arange(3), standing(3))
    found = walk(together, targets(4, 1).expand(-1, 3, -1))
    for delay in delays:
        engine = make_legged(1)
        engine.set_params(torch.tensor([0]), command_delay=delay.unsqueeze(0))
        engine.reset(torch.tensor([0]), standing(1))
        alone.append(walk(engine, targets(4, 1)))
    assert torch.equal(found, torch.cat(alone, dim=1))


def test_pd_by_hand_at_the_first_physics_step(sub_stepped: MakeLegged, standing: Standing):
    """25·0.2 - 0.5·1 = 4.5 N·m at one joint, by strength 0.9 and doubled gains, in power 1 rad/s more."""
    engine, start = sub_stepped(3), standing(3, 1.0)
    target = POSE.repeat(3, 1)
    target[:, 4] += 0.2
    start.joint_velocity[:, 4] = 1.0
    engine.set_params(torch.tensor([1]), strength=torch.full((1, 12), 0.9))
    engine.set_params(torch.tensor([2]), stiffness=torch.full((1, 12), 50.0), damping=torch.full((1, 12), 1.0))
    engine.reset(torch.arange(3), start)
    engine.step(target)
    state = engine.read()
    torch.testing.assert_close(state.joint_torque[:, 4], torch.tensor([4.5, 4.05, 9.0]))
    torch.testing.assert_close(state.joint_power[:, 4], torch.tensor([4.5, 4.05, 9.0]))


def test_a_target_far_away_gets_the_motors_limit(sub_stepped: MakeLegged, standing: Standing):
    engine = sub_stepped(1)
    engine.reset(torch.tensor([0]), standing(1, 1.0))
    engine.step(POSE.repeat(1, 1) + 100.0)
    limits = torch.tensor([joint.effort_limit for joint in SPEC.joints.values()])
    torch.testing.assert_close(engine.read().joint_torque[0], limits)


def test_joints_come_to_rest(make_legged: MakeLegged, standing: Standing):
    """Gains, friction and the armature go with the physics step: nothing chatters, also with strong motors."""
    engine, start = make_legged(2), standing(2, 30.0)
    start.joint_velocity = 2.0 * torch.randn(2, 12, generator=torch.Generator().manual_seed(0))
    hard = {"strength": torch.full((1, 12), 1.2), "damping": torch.full((1, 12), 0.75)}
    engine.set_params(torch.tensor([1]), **hard)
    engine.reset(torch.arange(2), start)
    walk(engine, POSE.expand(50, 2, 12))
    state = engine.read()
    assert float(state.joint_velocity.abs().max()) < 0.02
    torch.testing.assert_close(state.joint_position, POSE.repeat(2, 1), rtol=0, atol=0.01)


def test_dry_friction_slows_a_joint(sub_stepped: MakeLegged, standing: Standing):
    """0.2 N·m at a hip that turns, besides what its motor gives."""
    engine, start = sub_stepped(2), standing(2, 30.0)
    start.joint_velocity[0, 0] = 10.0
    engine.set_params(torch.arange(2), stiffness=torch.zeros(2, 12), damping=torch.zeros(2, 12))
    engine.reset(torch.arange(2), start)
    engine.step(POSE.repeat(2, 1))
    assert float(engine.ctrl[0, 0]) == pytest.approx(-0.2, rel=1e-3)
    assert (engine.ctrl[1] == 0).all()
    assert float(engine.read().joint_torque[0, 0]) == 0, "the motor itself gives nothing"


# Parameters
# ---------------------------------------------------------------------------------------------------------------------
def test_everything_falls_alike(make_legged: MakeLegged, standing: Standing):
    """Load, its place and the ground's friction make no difference in the air."""
    engine = make_legged(4)
    engine.set_params(
        torch.tensor([1, 2, 3]),
        payload=torch.tensor([[3.0], [0.0], [-2.0]]),
        com_offset=torch.tensor([[0.0, 0.0, 0.0], [0.05, 0.03, 0.02], [0.0, 0.0, 0.0]]),
        friction=torch.tensor([[0.1], [1.0], [2.0]]),
    )
    engine.reset(torch.arange(4), standing(4, 5.0))
    walk(engine, POSE.expand(10, 4, 12))
    state = engine.read()
    expected = torch.tensor([0.0, 0.0, -GRAVITY * 0.2]).repeat(4, 1)
    torch.testing.assert_close(state.linear_velocity, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(state.joint_position, POSE.repeat(4, 1), rtol=0, atol=1e-4)
    assert (state.foot_force == 0).all()


def test_the_feet_carry_the_weight_and_the_load(stood: Callable[..., MujocoLegged]):
    load = torch.tensor([[0.0], [3.0], [-1.0]])
    state = stood(3, payload=load).read()
    weight = (MASS + load[:, 0]) * GRAVITY
    torch.testing.assert_close(state.foot_force.sum(-1), weight, rtol=0.01, atol=0)
    knees = state.joint_torque[:, 2::3].abs().sum(-1)
    assert float(knees[1]) > 1.1 * float(knees[0]) > 1.1 * float(knees[2])
    assert (state.position[1, 2] < state.position[0, 2]) & (state.position[0, 2] < state.position[2, 2])


def test_a_centre_of_mass_moved_forward_loads_the_front_feet(stood: Callable[..., MujocoLegged]):
    """The trunk moved by d moves m_trunk/m·d of the whole; moments about the rear feet give the shares."""
    offset = torch.tensor([[0.0, 0.0, 0.0], [0.05, 0.0, 0.0], [0.0, 0.04, 0.0]])
    state = stood(3, com_offset=offset).read()
    force, place = state.foot_force, state.foot_position
    pressed = (force.unsqueeze(-1) * place[..., :2]).sum(1) / force.sum(-1, keepdim=True)  # centre of pressure
    moved = pressed - state.position[:, :2]
    torch.testing.assert_close(moved[1] - moved[0], TRUNK.mass / MASS * offset[1, :2], rtol=0, atol=0.004)
    torch.testing.assert_close(moved[2] - moved[0], TRUNK.mass / MASS * offset[2, :2], rtol=0, atol=0.004)


def test_on_slippery_ground_a_push_makes_the_feet_slip(stood: Callable[..., MujocoLegged]):
    """60 N sideways against a weight of 149 N: 0.1 is too little; at 1.0 the feet, which are balls, roll a little."""
    engine = stood(2, friction=torch.tensor([[0.1], [1.0]]))
    before = engine.read().foot_position.clone()
    engine.apply_wrench(torch.tensor([[0.0, 60.0, 0.0]]).repeat(2, 1), torch.zeros(2, 3))
    walk(engine, POSE.expand(10, 2, 12))
    moved = (engine.read().foot_position - before)[..., 1]
    assert float(moved[0].mean()) > 0.03
    assert float(moved[1].abs().max()) < 0.015


def test_derived_constants_are_those_of_a_model_compiled_so(make_legged: MakeLegged, standing: Standing):
    """Trunk of 6.921 kg and 3 kg more, its centre of mass elsewhere, ground of friction 0.5."""
    load, offset = 3.0, (0.03, -0.02, 0.01)
    changed, untouched = make_legged(2), make_legged(1)
    changed.set_params(
        torch.tensor([1]),
        payload=torch.tensor([[load]]), com_offset=torch.tensor([offset]), friction=torch.tensor([[0.5]]),
    )  # fmt: skip
    model = mujoco.MjSpec.from_string(quadruped_mjcf())
    base = model.body("base")
    base.fullinertia = base.fullinertia * ((TRUNK.mass + load) / TRUNK.mass)
    base.mass, base.ipos = TRUNK.mass + load, base.ipos + offset
    model.geom("ground").friction[0] = 0.5
    compiled = make_legged(1, model)
    for name in (
        "body_mass", "body_inertia", "body_ipos", "body_subtreemass", "body_invweight0", "dof_invweight0", "dof_M0",
        "actuator_acc0", "geom_friction",
    ):  # fmt: skip
        field = torch.from_numpy(changed.batch.expand(name))
        for world, other in ((1, compiled), (0, untouched)):
            expected = torch.from_numpy(getattr(other.model, name))
            torch.testing.assert_close(field[world], expected, rtol=1e-6, atol=1e-12, msg=name)
    rows = targets(10, 1)
    changed.reset(torch.tensor([1]), scattered(standing, 1))
    compiled.reset(torch.tensor([0]), scattered(standing, 1))
    found = walk(changed, rows.expand(-1, 2, -1))[:, 1]
    torch.testing.assert_close(found, walk(compiled, rows)[:, 0], rtol=1e-3, atol=1e-3)


def test_params_tells_what_was_set(make_legged: MakeLegged):
    engine, ids = make_legged(3), torch.tensor([2, 0])
    untouched = {name: value[1].clone() for name, value in engine.params.items()}
    drawn = {name: value[ids] * torch.tensor([[1.1], [1.2]]) + 0.001 for name, value in engine.params.items()}
    engine.set_params(ids, **drawn)
    assert {f"params:{name}" for name in engine.params} | {"wrench"} == set(engine.capabilities)
    for name, value in engine.params.items():
        assert torch.equal(value[ids], drawn[name])
        assert torch.equal(value[1], untouched[name])
    assert float(untouched["stiffness"][0]) == 25.0


def test_setting_parameters_leaves_the_state_alone(make_legged: MakeLegged, standing: Standing):
    engine = make_legged(3)
    engine.reset(torch.arange(3), scattered(standing, 3))
    before = engine.qpos.clone(), engine.qvel.clone()
    engine.set_params(torch.tensor([1]), payload=torch.tensor([[2.0]]), friction=torch.tensor([[0.3]]))
    assert torch.equal(engine.qpos, before[0])
    assert torch.equal(engine.qvel, before[1])


def test_what_cannot_be_set_is_refused(make_legged: MakeLegged):
    engine, one = make_legged(2), torch.ones(1, 1)
    with pytest.raises(UnsupportedError, match=r"cannot set wheel; it can set: com_offset, command_delay, .*strength"):
        engine.set_params(torch.tensor([0]), wheel=one, payload=one)
    with pytest.raises(ValueError, match=r"a payload of -7 kg leaves nothing of the base's 6\.921 kg"):
        engine.set_params(torch.tensor([0]), friction=2 * one, payload=-7 * one)
    assert engine.params["friction"].tolist() == [[1.0], [1.0]], "nothing is set when something is refused"


# Feet, and joints by name
# ---------------------------------------------------------------------------------------------------------------------
def feet_by_kinematics(state: ArticulatedState) -> torch.Tensor:
    """Positions of the feet in the world, from joint angles and the published lengths of the links."""
    matrix = rotation_matrix(state.orientation)
    feet = []
    for i, leg in enumerate(LEGS):
        angles = state.joint_position[:, 3 * i : 3 * i + 3].tolist()
        feet.append(state.position + to_world(matrix, torch.tensor([foot_position(leg, *row) for row in angles])))
    return torch.stack(feet, dim=1)


def test_feet_are_where_the_joints_put_them(sub_stepped: MakeLegged, standing: Standing):
    """After a reset those of the state, then those of the state before the last physics step."""
    engine = sub_stepped(5)
    engine.reset(torch.arange(5), scattered(standing, 5, seed=4))
    torch.testing.assert_close(engine.read().foot_position, feet_by_kinematics(engine.read()), rtol=0, atol=1e-5)
    for target in targets(30, 5):
        expected = feet_by_kinematics(engine.read())
        engine.step(target)
        torch.testing.assert_close(engine.read().foot_position, expected, rtol=0, atol=1e-5)


def test_a_foots_velocity_is_its_positions_change(sub_stepped: MakeLegged, standing: Standing):
    engine = sub_stepped(2)
    start = scattered(standing, 2, seed=5)
    start.position[:, 2] = 1.0
    engine.reset(torch.arange(2), start)
    places, velocities = [], []
    for target in targets(1, 2).expand(8, -1, -1):
        engine.step(target)
        state = engine.read()
        places.append(state.foot_position)
        velocities.append(state.foot_velocity)
    change = (places[7] - places[5]) / 0.01
    torch.testing.assert_close(velocities[6], change, rtol=0, atol=0.2)
    assert float(change.norm(dim=-1).max()) > 0.5


def test_after_a_reset_no_foot_feels_the_former_episode(stood: Callable[..., MujocoLegged], standing: Standing):
    engine = stood(2)
    assert (engine.read().foot_force > 10).all()
    engine.reset(torch.tensor([1]), standing(1, 2.0))
    state = engine.read()
    assert (state.foot_force[1] == 0).all()
    assert (state.joint_torque[1] == 0).all()
    assert (state.foot_position[1, :, 2] > 1.5).all()
    assert (state.foot_force[0] > 10).all(), "and the other stands as before"


def shuffled() -> mujoco.MjSpec:
    """The same robot with its legs and motors in another order."""
    root = ElementTree.fromstring(quadruped_mjcf())
    root.remove(root.find("keyframe"))  # pyright: ignore[reportArgumentType]
    base, motors = root.find(".//body[@name='base']"), root.find("actuator")
    assert base is not None
    assert motors is not None
    legs = base.findall("body")
    for leg in legs:
        base.remove(leg)
    base.extend([legs[i] for i in (2, 1, 3, 0)])
    motors[:] = random.Random(0).sample(list(motors), len(motors))
    return mujoco.MjSpec.from_string(ElementTree.tostring(root, encoding="unicode"))


def test_joints_are_matched_by_name(make_legged: MakeLegged, standing: Standing):
    """A model with its joints, motors and feet in another order is the same robot."""
    usual, other = make_legged(3), make_legged(3, shuffled())
    names = [mujoco.mj_id2name(other.model, mujoco.mjtObj.mjOBJ_JOINT, i) for i in range(1, 13)]
    assert names != list(JOINTS)
    for engine in (usual, other):
        engine.set_params(torch.tensor([1]), strength=torch.linspace(0.5, 1.2, 12).unsqueeze(0))
        engine.reset(torch.arange(3), scattered(standing, 3))
    torch.testing.assert_close(whole(other), whole(usual), rtol=0, atol=1e-6)
    rows = targets(12, 3)
    torch.testing.assert_close(walk(other, rows), walk(usual, rows), rtol=2e-3, atol=2e-3)


# Worlds beside each other
# ---------------------------------------------------------------------------------------------------------------------
def test_resetting_some_worlds_leaves_the_others_bit_for_bit(make_legged: MakeLegged, standing: Standing):
    rows, some, others = targets(20, 6), torch.tensor([4, 1]), torch.tensor([0, 2, 3, 5])
    trajectories = []
    for again in (False, True):
        engine = make_legged(6)
        engine.reset(torch.arange(6), scattered(standing, 6))
        first = walk(engine, rows[:10])
        if again:
            engine.set_params(some, payload=torch.tensor([[1.0], [2.0]]), friction=torch.tensor([[0.2], [0.3]]))
            engine.reset(some, scattered(standing, 2, seed=9))
        trajectories.append(torch.cat((first, walk(engine, rows[10:]))))
    assert torch.equal(trajectories[0][:, others], trajectories[1][:, others])
    assert not torch.equal(trajectories[0][10:, some], trajectories[1][10:, some])


def test_a_world_that_was_reset_walks_as_a_new_one(make_legged: MakeLegged, standing: Standing):
    """Nothing of the former episode is left: no warm start, no former target."""
    used, new, rows = make_legged(2), make_legged(2), targets(10, 2)
    used.reset(torch.arange(2), scattered(standing, 2, seed=3))
    walk(used, targets(15, 2, seed=4))
    trajectories = []
    for engine in (used, new):
        engine.set_params(torch.arange(2), command_delay=torch.full((2, 1), 0.01))
        engine.reset(torch.arange(2), scattered(standing, 2))
        trajectories.append(walk(engine, rows))
    assert torch.equal(*trajectories)


def test_a_saved_state_goes_on_bit_for_bit(make_legged: MakeLegged, standing: Standing):
    """In contact, with parameters, a wrench and a delayed target: after loading it also reads as it did."""
    first, second = make_legged(4), make_legged(4)
    first.reset(torch.arange(4), scattered(standing, 4))
    first.set_params(
        torch.tensor([1, 3]),
        command_delay=torch.tensor([[0.01], [0.02]]), payload=torch.tensor([[1.0], [2.0]]),
        com_offset=torch.full((2, 3), 0.02), strength=torch.full((2, 12), 0.9), friction=torch.full((2, 1), 0.5),
    )  # fmt: skip
    first.apply_wrench(torch.randn(4, 3), torch.zeros(4, 3))
    walk(first, targets(15, 4))
    assert (first.read().foot_force > 0).any()
    saved, state = {name: value.clone() for name, value in first.state_dict().items()}, first.read()
    going_on = walk(first, targets(15, 4, seed=2))
    second.reset(torch.arange(4), scattered(standing, 4, seed=8))
    walk(second, targets(3, 4, seed=8))
    second.load_state_dict(saved)
    for name in ("joint_position", "joint_velocity", "joint_torque", "joint_power", "actuator", "orientation"):
        assert torch.equal(getattr(second.read(), name), getattr(state, name)), name
    torch.testing.assert_close(second.read().foot_position, feet_by_kinematics(second.read()), rtol=0, atol=1e-5)
    assert torch.equal(walk(second, targets(15, 4, seed=2)), going_on)
    assert torch.equal(first.qpos, second.qpos)
    assert torch.equal(first.qvel, second.qvel)
    assert all(torch.equal(first.params[name], second.params[name]) for name in first.params)


def spoil_position(state: ArticulatedState) -> None:
    state.position[2, 1] = float("nan")


def spoil_joint(state: ArticulatedState) -> None:
    state.joint_velocity[2, 5] = 1e30


def spoil_target(state: ArticulatedState) -> None:
    """The target before acts first where there is a delay."""
    state.actuator[2, 3] = float("nan")


@pytest.mark.parametrize("spoil", [spoil_position, spoil_joint, spoil_target])
def test_a_diverged_world_fails_alone(
    make_legged: MakeLegged, standing: Standing, spoil: Callable[[ArticulatedState], None]
):
    rows, others = targets(10, 4), torch.tensor([0, 1, 3])
    healthy, spoiled = make_legged(4), make_legged(4)
    for engine in (healthy, spoiled):
        engine.set_params(torch.arange(4), command_delay=torch.full((4, 1), 0.02))
    healthy.reset(torch.arange(4), scattered(standing, 4))
    start = scattered(standing, 4)
    spoil(start)
    spoiled.reset(torch.arange(4), start)
    expected = walk(healthy, rows)
    found = walk(spoiled, rows[:1])
    assert spoiled.failed().tolist() == [False, False, True, False]
    found = torch.cat((found, walk(spoiled, rows[1:])))
    assert not healthy.failed().any()
    assert torch.equal(found[:, others], expected[:, others])


def test_a_target_that_is_no_number_fails_its_world_until_its_reset(make_legged: MakeLegged, standing: Standing):
    engine, row = make_legged(3), POSE.repeat(3, 1)
    engine.reset(torch.arange(3), standing(3))
    row[1, 2] = float("nan")
    engine.step(row)
    assert engine.failed().tolist() == [False, True, False]
    engine.reset(torch.tensor([1]), standing(1))
    assert torch.isfinite(whole(engine)).all()
    engine.step(POSE.repeat(3, 1))
    assert not engine.failed().any()
    assert torch.isfinite(whole(engine)).all()


def test_a_thousand_worlds_need_little_memory(make_legged: MakeLegged, standing: Standing):
    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    make_legged(1).step(POSE.repeat(1, 1))
    before = resident()
    engine = make_legged(1024)
    engine.set_params(torch.arange(1024), payload=torch.ones(1024, 1), friction=torch.ones(1024, 1))
    engine.reset(torch.arange(1024), standing(1024))
    engine.step(POSE.repeat(1024, 1))
    assert resident() - before < 200e6


# Contact
# ---------------------------------------------------------------------------------------------------------------------
def test_the_contact_solver_may_converge(make_legged: MakeLegged):
    """A model's few iterations are lifted: contacts solved halfway have been seen to throw a foot at 100 rad/s."""
    model = mujoco.MjSpec.from_string(quadruped_mjcf())
    model.option.iterations = model.option.ls_iterations = 3
    engine = make_legged(1, model)
    assert model.option.iterations == 3, "the caller's model stays as it is"
    assert engine.model.opt.iterations >= 50
    assert engine.model.opt.ls_iterations >= 50
