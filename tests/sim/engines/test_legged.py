"""Legged robots in MuJoCo: drives, parameters and feet are what they are said to be, in every world by itself."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
import random
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import mujoco
import pytest
import torch
from quadrupeds import POSE, begin, hold, on_mujoco, scattered, standing, step, targets, walk, whole

from isthmus_sim.engine import State, UnsupportedError
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.robots.quadruped.description import (
    GRAVITY,
    JOINTS,
    LEGS,
    MASS,
    MOTORS,
    ROBOT,
    TRUNK,
    foot_position,
)
from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf
from isthmus_sim.rotations import rotation_matrix, to_world

FINE = replace(ROBOT, control_period_s=0.005)
"""The robot whose control period is one physics step."""


def stood(n: int, **params: Any) -> tuple[MujocoEngine, State]:
    """n robots with these parameters, standing since 1.5 s."""
    engine = on_mujoco(n)
    begin(engine, standing(n), **params)
    return engine, hold(engine, 75)


# Drives
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("delay", "old_steps"), [(0.0, 0), (0.005, 1), (0.011, 2), (0.02, 4)])
def test_a_target_acts_after_its_delay_to_the_physics_step(delay: float, old_steps: int):
    """Held to an engine that is told the target of every physics step: the one before for `delay`, then the new one."""
    delayed, by_hand = on_mujoco(1), on_mujoco(1, FINE)
    begin(delayed, standing(1), command_delay_s=[[delay]])
    begin(by_hand, standing(1))
    before = POSE.repeat(1, 1)
    for target in targets(6, 1):
        found = step(delayed, target)
        torques = [step(by_hand, before if k < old_steps else target)["joint_torque"].clone() for k in range(4)]
        before = target
        assert torch.equal(delayed.qpos, by_hand.qpos)
        assert torch.equal(delayed.qvel, by_hand.qvel)
        torch.testing.assert_close(found["joint_torque"], torch.stack(torques).mean(0))
    assert (delayed.qpos[0, 7:] - POSE).abs().max() > 0.05, "the targets did something"


def test_each_world_has_its_own_delay():
    alone, together = [], on_mujoco(3)
    delays = [[0.0], [0.01], [0.02]]
    begin(together, standing(3), command_delay_s=delays)
    found = walk(together, targets(4, 1).expand(-1, 3, -1))
    for delay in delays:
        engine = on_mujoco(1)
        begin(engine, standing(1), command_delay_s=[delay])
        alone.append(walk(engine, targets(4, 1)))
    assert torch.equal(found, torch.cat(alone, dim=1))


def test_pd_by_hand_at_the_first_physics_step():
    """25·0.2 - 0.5·1 = 4.5 N·m at one joint, by strength 0.9 and doubled gains, in power 1 rad/s more."""
    engine, start, target = on_mujoco(3, FINE), standing(3, 1.0), POSE.repeat(3, 1)
    target[:, 4] += 0.2
    start["joint_velocity"][:, 4] = 1.0
    one = torch.ones(3, 12)
    begin(
        engine, start, strength=one * torch.tensor([[1.0], [0.9], [1.0]]),
        stiffness=one * torch.tensor([[25.0], [25.0], [50.0]]), damping=one * torch.tensor([[0.5], [0.5], [1.0]]),
    )  # fmt: skip
    state = step(engine, target)
    torch.testing.assert_close(state["joint_torque"][:, 4], torch.tensor([4.5, 4.05, 9.0]))
    torch.testing.assert_close(state["joint_power"][:, 4], torch.tensor([4.5, 4.05, 9.0]))


def test_a_target_far_away_gets_the_motors_limit():
    engine = on_mujoco(1, FINE)
    begin(engine, standing(1, 1.0))
    limits = torch.tensor([joint.effort_limit for joint in ROBOT.joints.values()])
    torch.testing.assert_close(step(engine, POSE.repeat(1, 1) + 100.0)["joint_torque"][0], limits)


def test_joints_come_to_rest():
    """Gains, friction and the armature go with the physics step: nothing chatters, also with strong motors."""
    engine, start = on_mujoco(2), standing(2, 30.0)
    start["joint_velocity"] = 2.0 * torch.randn(2, 12, generator=torch.Generator().manual_seed(0))
    begin(
        engine, start, strength=torch.tensor([[1.0], [1.2]]).expand(2, 12),
        damping=torch.tensor([[0.5], [0.75]]).expand(2, 12),
    )  # fmt: skip
    state = hold(engine, 50)
    assert float(state["joint_velocity"].abs().max()) < 0.02
    torch.testing.assert_close(state["joint_position"], POSE.repeat(2, 1), rtol=0, atol=0.01)


def test_dry_friction_slows_a_joint():
    """0.2 N·m at a hip that turns, besides what its motor gives."""
    engine, start = on_mujoco(2, FINE), standing(2, 30.0)
    start["joint_velocity"][0, 0] = 10.0
    begin(engine, start, stiffness=torch.zeros(2, 12), damping=torch.zeros(2, 12))
    state = hold(engine, 1)
    assert float(engine.ctrl[0, 0]) == pytest.approx(-0.2, rel=1e-3)
    assert (engine.ctrl[1] == 0).all()
    assert float(state["joint_torque"][0, 0]) == 0, "the motor itself gives nothing"


# Parameters
# ---------------------------------------------------------------------------------------------------------------------
def test_everything_falls_alike():
    """Load, its place and the ground's friction make no difference in the air."""
    engine = on_mujoco(4)
    begin(
        engine, standing(4, 5.0), payload=[[0.0], [3.0], [0.0], [-2.0]], friction=[[1.0], [0.1], [1.0], [2.0]],
        com_offset=[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.05, 0.03, 0.02], [0.0, 0.0, 0.0]],
    )  # fmt: skip
    state = hold(engine, 10)
    expected = torch.tensor([0.0, 0.0, -GRAVITY * 0.2]).repeat(4, 1)
    torch.testing.assert_close(state["linear_velocity"], expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(state["joint_position"], POSE.repeat(4, 1), rtol=0, atol=1e-4)
    assert (state["foot_force"] == 0).all()


def test_the_feet_carry_the_weight_and_the_load():
    load = torch.tensor([[0.0], [3.0], [-1.0]])
    _, state = stood(3, payload=load)
    weight = (MASS + load[:, 0]) * GRAVITY
    torch.testing.assert_close(state["foot_force"].sum(-1), weight, rtol=0.01, atol=0)
    knees, height = state["joint_torque"][:, 2::3].abs().sum(-1), state["position"][:, 2]
    assert float(knees[1]) > 1.1 * float(knees[0]) > 1.1 * float(knees[2])
    assert (height[1] < height[0]) & (height[0] < height[2])


def test_a_centre_of_mass_moved_forward_loads_the_front_feet():
    """The trunk moved by d moves m_trunk/m·d of the whole; moments about the rear feet give the shares."""
    offset = torch.tensor([[0.0, 0.0, 0.0], [0.05, 0.0, 0.0], [0.0, 0.04, 0.0]])
    _, state = stood(3, com_offset=offset)
    force, place = state["foot_force"], state["foot_position"]
    pressed = (force.unsqueeze(-1) * place[..., :2]).sum(1) / force.sum(-1, keepdim=True)  # centre of pressure
    moved = pressed - state["position"][:, :2]
    torch.testing.assert_close(moved[1] - moved[0], TRUNK.mass / MASS * offset[1, :2], rtol=0, atol=0.004)
    torch.testing.assert_close(moved[2] - moved[0], TRUNK.mass / MASS * offset[2, :2], rtol=0, atol=0.004)


def test_on_slippery_ground_a_push_makes_the_feet_slip():
    """60 N sideways against a weight of 149 N: 0.1 is too little; at 1.0 the feet, which are balls, roll a little."""
    engine, before = stood(2, friction=[[0.1], [1.0]])
    engine.apply_wrench(torch.tensor([[0.0, 60.0, 0.0]]).repeat(2, 1), torch.zeros(2, 3))
    moved = (hold(engine, 10)["foot_position"] - before["foot_position"])[..., 1]
    assert float(moved[0].mean()) > 0.03
    assert float(moved[1].abs().max()) < 0.015


def test_derived_constants_are_those_of_a_model_compiled_so():
    """Trunk of 6.921 kg and 3 kg more, its centre of mass elsewhere, ground of friction 0.5."""
    load, offset = 3.0, (0.03, -0.02, 0.01)
    model = mujoco.MjSpec.from_string(quadruped_mjcf())
    base = model.body("base")
    base.fullinertia = base.fullinertia * ((TRUNK.mass + load) / TRUNK.mass)
    base.mass, base.ipos = TRUNK.mass + load, base.ipos + offset
    model.geom("ground").friction[0] = 0.5
    heavy = replace(ROBOT, variations=(), mass=MASS + load, model=lambda looks: model)
    changed, untouched, compiled = on_mujoco(2), on_mujoco(1), on_mujoco(1, heavy)
    begin(changed, scattered(1), [1], payload=[[load]], com_offset=[offset], friction=[[0.5]])
    begin(compiled, scattered(1))
    for name in (
        "body_mass", "body_inertia", "body_ipos", "body_subtreemass", "body_invweight0", "dof_invweight0", "dof_M0",
        "actuator_acc0", "geom_friction",
    ):  # fmt: skip
        field = torch.from_numpy(changed.batch.expand(name))
        for world, other in ((1, compiled), (0, untouched)):
            expected = torch.from_numpy(getattr(other.model, name))
            torch.testing.assert_close(field[world], expected, rtol=1e-6, atol=1e-8, msg=name)
    rows = targets(10, 1)
    found = walk(changed, rows.expand(-1, 2, -1))[:, 1]
    torch.testing.assert_close(found, walk(compiled, rows)[:, 0], rtol=1e-3, atol=1e-3)


def test_params_tells_what_was_set():
    engine, ids = on_mujoco(3), [2, 0]
    untouched = {name: value[1].clone() for name, value in engine.params.items()}
    drawn = {name: value[ids] * torch.tensor([[1.1], [1.2]]) + 0.001 for name, value in engine.params.items()}
    begin(engine, standing(2), ids, **drawn)
    assert {f"params:{name}" for name in engine.params} | {"wrench", "snapshots"} == engine.capabilities
    for name, value in engine.params.items():
        assert torch.equal(value[ids], drawn[name])
        assert torch.equal(value[1], untouched[name])
    assert float(untouched["stiffness"][0]) == 25.0


def test_what_cannot_be_set_is_refused():
    engine, one = on_mujoco(2), torch.ones(1, 1)
    with pytest.raises(
        UnsupportedError, match=r"cannot set wheel; it can set: com_offset, command_delay_s, .*strength"
    ):
        begin(engine, standing(1), [0], wheel=one, payload=one)
    with pytest.raises(UnsupportedError, match=r"foot_force, joint_torque; it can set: position, .*actuator"):
        begin(engine, standing(1) | {"joint_torque": torch.ones(1, 12), "foot_force": torch.ones(1, 4)}, [0])
    with pytest.raises(ValueError, match=r"a payload of -7 kg leaves nothing of the base's 6\.921 kg"):
        begin(engine, standing(1), [0], friction=2 * one, payload=-7 * one)
    assert engine.params["friction"].tolist() == [[1.0], [1.0]], "nothing is set when something is refused"


# Feet, and joints by name
# ---------------------------------------------------------------------------------------------------------------------
def feet_by_kinematics(state: State) -> torch.Tensor:
    """Positions of the feet in the world, from joint angles and the published lengths of the links."""
    matrix = rotation_matrix(state["orientation"])
    feet = []
    for i, leg in enumerate(LEGS):
        angles = state["joint_position"][:, 3 * i : 3 * i + 3].tolist()
        feet.append(state["position"] + to_world(matrix, torch.tensor([foot_position(leg, *row) for row in angles])))
    return torch.stack(feet, dim=1)


def test_feet_are_where_the_joints_put_them():
    """After a reset those of the state, then those of the state before the last physics step."""
    engine = on_mujoco(5, FINE)
    state = begin(engine, scattered(5, seed=4))
    torch.testing.assert_close(state["foot_position"], feet_by_kinematics(state), rtol=0, atol=1e-5)
    for target in targets(30, 5):
        expected = feet_by_kinematics(state)
        state = step(engine, target)
        torch.testing.assert_close(state["foot_position"], expected, rtol=0, atol=1e-5)


def test_a_foots_velocity_is_its_positions_change():
    engine, start = on_mujoco(2, FINE), scattered(2, seed=5)
    start["position"][:, 2] = 1.0
    begin(engine, start)
    states = [step(engine, targets(1, 2)[0]) for _ in range(8)]
    change = (states[7]["foot_position"] - states[5]["foot_position"]) / 0.01
    torch.testing.assert_close(states[6]["foot_velocity"], change, rtol=0, atol=0.2)
    assert float(change.norm(dim=-1).max()) > 0.5


def test_after_a_reset_no_foot_feels_the_former_episode():
    engine, state = stood(2)
    assert (state["foot_force"] > 10).all()
    state = begin(engine, standing(1, 2.0), [1])
    assert (state["foot_force"][1] == 0).all()
    assert (state["joint_torque"][1] == 0).all()
    assert (state["foot_position"][1, :, 2] > 1.5).all()
    assert (state["foot_force"][0] > 10).all(), "and the other stands as before"


def shuffled() -> str:
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
    return ElementTree.tostring(root, encoding="unicode")


def test_joints_are_matched_by_name():
    """A model with its joints, motors and feet in another order is the same robot."""
    usual, other = on_mujoco(3), on_mujoco(3, replace(ROBOT, model=lambda looks: shuffled()))
    assert [other.model.joint(i).name for i in range(1, 13)] != list(JOINTS)
    strength = torch.linspace(0.5, 1.2, 12).unsqueeze(0).repeat(3, 1)
    starts = [whole(begin(engine, scattered(3), strength=strength)) for engine in (usual, other)]
    torch.testing.assert_close(starts[1], starts[0], rtol=0, atol=1e-6)
    rows = targets(12, 3)
    torch.testing.assert_close(walk(other, rows), walk(usual, rows), rtol=2e-3, atol=2e-3)


# Worlds beside each other
# ---------------------------------------------------------------------------------------------------------------------
def test_resetting_some_worlds_leaves_the_others_bit_for_bit():
    rows, some, others = targets(20, 6), [4, 1], [0, 2, 3, 5]
    trajectories = []
    for again in (False, True):
        engine = on_mujoco(6)
        begin(engine, scattered(6))
        first = walk(engine, rows[:10])
        if again:
            begin(engine, scattered(2, seed=9), some, payload=[[1.0], [2.0]], friction=[[0.2], [0.3]])
        trajectories.append(torch.cat((first, walk(engine, rows[10:]))))
    assert torch.equal(trajectories[0][:, others], trajectories[1][:, others])
    assert not torch.equal(trajectories[0][10:, some], trajectories[1][10:, some])


def test_a_world_that_was_reset_walks_as_a_new_one():
    """Nothing of the former episode is left: no warm start, no former target."""
    used, new = on_mujoco(2), on_mujoco(2)
    begin(used, scattered(2, seed=3))
    walk(used, targets(15, 2, seed=4))
    trajectories = []
    for engine in (used, new):
        begin(engine, scattered(2), command_delay_s=torch.full((2, 1), 0.01))
        trajectories.append(walk(engine, targets(10, 2)))
    assert torch.equal(*trajectories)


def test_a_saved_state_goes_on_bit_for_bit():
    """A robot in contact, with parameters, a wrench and a delayed target, reads after loading as it did."""
    first, second = on_mujoco(4), on_mujoco(4)
    begin(first, scattered(4))
    begin(
        first, scattered(2, seed=1), [1, 3], command_delay_s=[[0.01], [0.02]], payload=[[1.0], [2.0]],
        com_offset=torch.full((2, 3), 0.02), strength=torch.full((2, 12), 0.9), friction=torch.full((2, 1), 0.5),
    )  # fmt: skip
    first.apply_wrench(torch.randn(4, 3), torch.zeros(4, 3))
    walk(first, targets(15, 4))
    state = {name: value.clone() for name, value in first.advance(None).items()}
    assert (state["foot_force"] > 0).any()
    saved = {name: value.clone() for name, value in first.state_dict().items()}
    going_on = walk(first, targets(15, 4, seed=2))
    begin(second, scattered(4, seed=8))
    walk(second, targets(3, 4, seed=8))
    second.load_state_dict(saved)
    loaded = second.advance(None)
    for name in ("joint_position", "joint_velocity", "joint_torque", "joint_power", "actuator", "orientation"):
        assert torch.equal(loaded[name], state[name]), name
    torch.testing.assert_close(loaded["foot_position"], feet_by_kinematics(loaded), rtol=0, atol=1e-5)
    assert torch.equal(walk(second, targets(15, 4, seed=2)), going_on)
    assert torch.equal(first.qpos, second.qpos)
    assert torch.equal(first.qvel, second.qvel)
    assert all(torch.equal(first.params[name], second.params[name]) for name in first.params)


@pytest.mark.parametrize(
    ("name", "column", "value"),
    # Of a target the one before acts first where there is a delay.
    [("position", 1, float("nan")), ("joint_velocity", 5, 1e30), ("actuator", 3, float("nan"))],
)
def test_a_diverged_world_fails_alone(name: str, column: int, value: float):
    rows, others, delay = targets(10, 4), [0, 1, 3], torch.full((4, 1), 0.02)
    healthy, spoiled = on_mujoco(4), on_mujoco(4)
    begin(healthy, scattered(4), command_delay_s=delay)
    start = scattered(4)
    start[name][2, column] = value
    begin(spoiled, start, command_delay_s=delay)
    expected = walk(healthy, rows)
    found = walk(spoiled, rows[:1])
    assert spoiled.failed().tolist() == [False, False, True, False]
    found = torch.cat((found, walk(spoiled, rows[1:])))
    assert not healthy.failed().any()
    assert torch.equal(found[:, others], expected[:, others])


def test_a_target_that_is_no_number_fails_its_world_until_its_reset():
    engine, row = on_mujoco(3), POSE.repeat(3, 1)
    begin(engine, standing(3))
    row[1, 2] = float("nan")
    step(engine, row)
    assert engine.failed().tolist() == [False, True, False]
    assert torch.isfinite(whole(begin(engine, standing(1), [1]))).all()
    assert torch.isfinite(whole(hold(engine, 1))).all()
    assert not engine.failed().any()


def test_a_thousand_worlds_need_little_memory():
    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    hold(on_mujoco(1), 1)
    before = resident()
    engine = on_mujoco(1024)
    begin(engine, standing(1024), payload=torch.ones(1024, 1), friction=torch.ones(1024, 1))
    hold(engine, 1)
    assert resident() - before < 200e6


def test_the_contact_solver_may_converge():
    """A model's few iterations are lifted: contacts solved halfway have been seen to throw a foot at 100 rad/s."""
    model = mujoco.MjSpec.from_string(quadruped_mjcf())
    model.option.iterations = model.option.ls_iterations = 3
    engine = on_mujoco(1, replace(ROBOT, model=lambda looks: model))
    assert model.option.iterations == 3, "the caller's model stays as it is"
    assert engine.model.opt.iterations >= 50
    assert engine.model.opt.ls_iterations >= 50


def test_dry_friction_is_the_drives_alone():
    """MuJoCo's own, which the model may have, would act a second time."""
    model = mujoco.MjSpec.from_string(quadruped_mjcf())
    for name in JOINTS:
        model.joint(name).frictionloss = MOTORS["hip"].friction
    engine = on_mujoco(1, replace(ROBOT, model=lambda looks: model))
    assert not engine.model.dof_frictionloss.any()
