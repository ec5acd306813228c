"""The desktop arm and its task: reach and weight by hand, a grip that holds by friction, what counts as done."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch
from isthmus_sim.engines.mujoco_arm import MujocoArm
from isthmus_sim.looks import Looks, draw, rgb
from isthmus_sim.robots.so101.parameters import SIZES
from torch import Tensor

from isthmus_sim.engine import ArmState, UnsupportedError
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.robots.so101.description import (
    FOLDED,
    HOME,
    JOINTS,
    NO_LOAD_SPEED,
    RANGE,
    SPEC,
    STALL_TORQUE,
    grip_angle,
)
from isthmus_sim.robots.so101.mjcf import PATTERNS, ZONE_RADIUS, so101_mjcf
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.pick_place import PickPlace, PickPlaceConfig

EXACT = PickPlaceConfig(sensors={}, joint_noise=0.0)


def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(so101_mjcf())


def tip(*joints: float) -> np.ndarray:
    """(3,) m at joint angles in rad, the gripper's at zero."""
    arm = model()
    data = mujoco.MjData(arm)
    data.qpos[:5] = joints
    mujoco.mj_kinematics(arm, data)
    return data.site("gripper_tip").xpos.copy()


def state(**changes: Tensor) -> ArmState:
    """An arm at home, its cube at rest in the middle of the zone, nothing touched."""
    zone, home = torch.tensor([[0.2, 0.1]]), torch.tensor([HOME])
    level, none = torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.zeros(1, 3)
    return replace(
        ArmState(
            position=none, orientation=level, linear_velocity=none, angular_velocity=none, actuator=home,
            joint_position=home, joint_velocity=torch.zeros(1, 6), tip_position=torch.tensor([[0.2, 0.0, 0.11]]),
            cube_position=torch.tensor([[0.2, 0.1, 0.015]]), cube_orientation=level, cube_velocity=torch.zeros(1, 6),
            cube_edge=torch.tensor([[0.03]]), zone_position=zone, touching=torch.zeros(1, 2),
        ),
        **changes,
    )  # fmt: skip


# The robot
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("joints", "expected"),
    [
        # Upper arm up, the rest ahead: 38.8 + 30.4 + 28.0 + 134.9 + 61.1 + 98.1 mm; 62.4 + 54.2 + 112.6 + 5.2 + 6.9.
        ((0, 0, 0, 0, 0), (0.3913, 0.0, 0.2413)),
        # A quarter turn to the right (published sign): ahead is -y, from the pan axis on.
        ((math.pi / 2, 0, 0, 0, 0), (0.0388, -0.3525, 0.2413)),
        # The wrist down: 61.1 + 98.1 below the wrist at 234.4, the 6.9 ahead of it.
        ((0, 0, 0, math.pi / 2, 0), (0.0388 + 0.0304 + 0.028 + 0.1349 + 0.0069, 0.0, 0.2344 - 0.1592)),
        # The shoulder a quarter turn ahead: upper arm and forearm turn with it, the forearm down.
        ((0, math.pi / 2, 0, 0, 0), (0.0692 + 0.1126 + 0.0052 + 0.0069, 0.0, 0.1166 - 0.028 - 0.1349 - 0.1592)),
        # Rolled by half a turn the moving jaw is below.
        ((0, 0, 0, 0, math.pi), (0.3913, 0.0, 0.2344 - 0.0069)),
    ],
)  # fmt: skip
def test_reach_by_hand(joints: tuple[float, ...], expected: tuple[float, ...]):
    np.testing.assert_allclose(tip(*joints), expected, atol=1e-9)


def test_the_jaws_are_as_far_apart_as_said():
    """Measured between the two faces, at the ends of the jaws."""
    arm = model()
    data = mujoco.MjData(arm)
    for gap in (0.005, 0.0163, 0.03, 0.05):
        data.qpos[5] = grip_angle(gap)
        mujoco.mj_kinematics(arm, data)
        fixed, moving = (arm.geom(name) for name in ("fixed_jaw", "moving_jaw"))
        face = data.geom_xpos[fixed.id][2] + fixed.size[2]
        corner = data.geom_xmat[moving.id].reshape(3, 3) @ (moving.size[0], 0.0, -moving.size[2])
        assert data.geom_xpos[moving.id][2] + corner[2] - face == pytest.approx(gap, abs=1e-4)


def test_weight_and_specification():
    assert float(model().body_mass.sum()) - 0.0189 == pytest.approx(0.632, abs=0.001)  # and the cube's 27 cm³ of beech
    assert tuple(SPEC.joints) == SPEC.commands[0].order == SPEC.signals[0].order == JOINTS
    assert round(1 / SPEC.control_period_s) == 30
    for pose in (HOME, FOLDED):
        assert all(low < angle < high for angle, (low, high) in zip(pose, RANGE.values(), strict=True))


def test_a_servo_neither_outruns_nor_outpulls_its_data():
    """Sent to the other end of its range the pan joint turns at most at 45 rpm, and holds 30 kg·cm and no more."""
    arm = model()
    data = mujoco.MjData(arm)
    data.qpos[:6] = data.ctrl[:] = HOME
    data.ctrl[0], speeds, forces = 1.9, [], []
    for _ in range(400):
        mujoco.mj_step(arm, data)
        speeds.append(data.qvel[0])
        forces.append(data.actuator_force[0])
    assert 0.5 * NO_LOAD_SPEED < max(speeds) < NO_LOAD_SPEED
    assert max(forces) == pytest.approx(STALL_TORQUE) == pytest.approx(2.942, abs=1e-3)
    assert data.qpos[0] == pytest.approx(1.9, abs=0.02)


def test_arm_alone_has_the_same_joints_first():
    alone, whole = mujoco.MjModel.from_xml_string(so101_mjcf(desk=False)), model()
    assert alone.nq == 6
    assert [alone.joint(i).name for i in range(6)] == [whole.joint(i).name for i in range(6)] == list(JOINTS)


# Grip
# ---------------------------------------------------------------------------------------------------------------------
def test_jaws_lift_the_cube_by_friction_hold_it_and_let_it_fall():
    """The tool points down at 22 cm and 16 mm above the table, the cube between its jaws, then at 10 cm above it."""
    engine, low, high = (
        MujocoArm(1, num_threads=1),
        (0.0, -0.063, 0.5255, 1.1083, 0.0),
        (0.0, -0.518, 0.383, 1.435, 0.0),
    )
    np.testing.assert_allclose(tip(*low), (0.22, 0.0, 0.016), atol=1e-3)
    np.testing.assert_allclose(tip(*high), (0.22, 0.0, 0.1), atol=1e-3)
    opened, closed, up = (*low, 0.5), (*low, grip_angle(0.024)), (*high, grip_angle(0.024))
    start = torch.tensor([opened])
    begun = state(joint_position=start, actuator=start, cube_position=torch.tensor([[0.222, 0.0, 0.015]]))
    engine.reset(torch.tensor([0]), begun)
    assert engine.read().touching.tolist() == [[0.0, 0.0]]
    for _ in range(15):
        engine.step(torch.tensor([closed]))
    assert engine.read().touching.tolist() == [[1.0, 1.0]]
    for _ in range(30):
        engine.step(torch.tensor([up]))
    lifted = float(engine.read().cube_position[0, 2])
    assert lifted > 0.06
    for _ in range(150):
        engine.step(torch.tensor([up]))
    assert float(engine.read().cube_position[0, 2]) == pytest.approx(lifted, abs=0.002), "it creeps out"
    for _ in range(30):
        engine.step(torch.tensor([(*up[:5], 0.8)]))
    fallen = engine.read()
    assert float(fallen.cube_position[0, 2]) == pytest.approx(0.015, abs=0.001)
    assert fallen.touching.tolist() == [[0.0, 0.0]]


# The task
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["pick_place", "pick_place-randomized"])
def test_gives_what_it_declares(name: str):
    task = make_task(name)
    made = Env(task, make_engine(task, 3), seed=0)
    assert {group: value.shape[1] for group, value in made.reset().items()} == {
        name: group.size for name, group in task.groups.items()
    }
    step = made.step(torch.zeros(3, 6))
    assert {group: value.shape[1] for group, value in step.observations.items()} == {
        name: group.size for name, group in task.groups.items()
    }
    assert len(task.environment) == {name: group.size for name, group in task.groups.items()}["environment"]
    assert list(step.episode_terms) == list(task.reward_terms)
    assert {n: tuple(v.shape) for n, v in made.signals.items()} == {s.name: (3, s.size) for s in SPEC.signals}
    assert (round(1 / task.robot.control_period_s), task.episode_steps) == (30, 360)


@pytest.mark.parametrize(
    ("change", "done"),
    [
        ({}, True),
        ({"cube_position": (0.2, 0.1 + ZONE_RADIUS - 0.0151, 0.015)}, True),
        ({"cube_position": (0.2, 0.1 + ZONE_RADIUS - 0.0149, 0.015)}, False),  # half an edge over the rim
        ({"cube_position": (0.2, 0.1, 0.019)}, False),  # held over it
        ({"touching": (1.0, 0.0)}, False),
        ({"touching": (0.0, 1.0)}, False),
        ({"cube_velocity": (0.02, 0.0, 0.0, 0.0, 0.0, 0.0)}, False),
        ({"cube_velocity": (0.0, 0.0, 0.0, 0.0, 0.0, 0.5)}, False),
    ],
)
def test_done_is_in_the_zone_at_rest_and_let_go(change: dict[str, tuple[float, ...]], done: bool):
    changed = state(**{name: torch.tensor([values]) for name, values in change.items()})
    assert PickPlace().succeeded(changed, {}).tolist() == [done]
    assert PickPlace().metrics(changed, {})["success"].tolist() == [float(done)]


def test_a_cube_off_the_table_ends_the_episode_and_no_other_world():
    made = Env(PickPlace(EXACT), MujocoArm(3, num_threads=1), seed=0)
    made.reset()
    before = made.engine.read()
    made.engine.qpos[1, 6:9] = torch.tensor([0.8, 0.0, -0.019], dtype=torch.float64)
    step = made.step(torch.zeros(3, 6))
    after = made.engine.read()
    assert step.terminated.tolist() == [False, True, False]
    assert step.succeeded.tolist() == [False, False, False]
    assert made.episode_step.tolist() == [1, 0, 1]
    torch.testing.assert_close(after.cube_position[[0, 2]], before.cube_position[[0, 2]], atol=1e-3, rtol=0)
    assert torch.equal(after.zone_position[[0, 2]], before.zone_position[[0, 2]])
    assert torch.equal(after.cube_edge[[0, 2]], before.cube_edge[[0, 2]])
    assert not torch.equal(after.zone_position[1], before.zone_position[1])


def test_no_action_is_home_and_whole_actions_are_the_limits():
    actions = torch.tensor([[0.0], [1.0], [-1.0]]).repeat(1, 6)
    home, high, low = PickPlace().act(actions, {}, {})["joint_position_target"]
    assert home.tolist() == pytest.approx(HOME)
    assert high.tolist() == pytest.approx(SPEC.commands[0].maximum)
    assert low.tolist() == pytest.approx(SPEC.commands[0].minimum)


def test_starts_are_within_reach_apart_and_at_rest():
    made = Env(PickPlace(), MujocoArm(500, num_threads=1), seed=0)
    made.reset()
    begun = made.engine.read()
    for place in (begun.cube_position[:, :2], begun.zone_position):
        radius = (place - torch.tensor([0.0388, 0.0])).norm(dim=-1)
        assert 0.139 < float(radius.min()) < 0.15
        assert 0.235 < float(radius.max()) < 0.241
    assert float((begun.cube_position[:, :2] - begun.zone_position).norm(dim=-1).min()) >= 0.1
    assert float(begun.touching.sum()) == 0
    made.step(torch.zeros(500, 6))
    after = made.engine.read()
    assert float((after.cube_position - begun.cube_position).norm(dim=-1).max()) < 1e-3
    assert float(made.task.metrics(after, {})["success"].sum()) == 0


def rolled(seed: int, name: str = "pick_place-randomized") -> Tensor:
    task = make_task(name)
    made = Env(task, MujocoArm(2, num_threads=1), seed=seed)
    made.reset()
    actions = 2 * torch.rand(20, 2, 6, generator=torch.Generator().manual_seed(7)) - 1
    seen = [made.step(action).observations for action in actions]
    return torch.stack([torch.cat((o["actor"], o["critic"]), dim=-1) for o in seen])


def test_a_seed_repeats_bit_for_bit_and_another_differs():
    assert torch.equal(rolled(3), rolled(3))
    assert not torch.equal(rolled(3), rolled(4))


def test_a_saved_state_goes_on_bit_for_bit_with_its_looks():
    made, again = (Env(make_task("pick_place-randomized"), MujocoArm(2, num_threads=1), seed=s) for s in (0, 1))
    made.reset()
    again.reset()
    actions = 2 * torch.rand(20, 2, 6, generator=torch.Generator().manual_seed(1)) - 1
    for action in actions[:10]:
        made.step(action)
    again.load_state_dict({name: value.clone() for name, value in made.state_dict().items()})
    for action in actions[10:]:
        assert torch.equal(made.step(action).observations["critic"], again.step(action).observations["critic"])
    for name, value in made.engine.params.items():
        assert torch.equal(value, again.engine.params[name]), name
    ours, theirs = (env.engine.batch.get_model(1) for env in (made, again))
    for field in ("geom_rgba", "geom_size", "geom_matid", "body_mass", "light_dir", "cam_pos", "cam_quat"):
        assert np.array_equal(getattr(ours, field), getattr(theirs, field)), field


# Looks
# ---------------------------------------------------------------------------------------------------------------------
def test_parameters_arrive_in_the_model_of_their_world_and_no_other():
    engine = MujocoArm(2, num_threads=1)
    plain = engine.batch.get_model(0)
    engine.set_params(
        torch.tensor([1]), cube_edge=torch.tensor([[0.036]]), cube_rgb=torch.tensor([[0.1, 0.2, 0.3]]),
        table_pattern=torch.tensor([[2.0]]), lamp_direction=torch.tensor([[0.0, 0.0, -2.0]]),
        scene_camera_shift=torch.tensor([[0.0, 0.0, 0.1]]), wrist_camera_turn=torch.tensor([[0.0, 0.0, math.pi / 2]]),
        scene_camera_zoom=torch.tensor([[0.5]]),
    )  # fmt: skip
    same, other = engine.batch.get_model(0), engine.batch.get_model(1)
    assert np.array_equal(same.geom_rgba, plain.geom_rgba)
    assert other.geom("cube").size.tolist() == pytest.approx([0.018] * 3)
    assert float(other.body("cube").mass[0]) == pytest.approx(700 * 0.036**3)
    assert other.body("cube").inertia.tolist() == pytest.approx([700 * 0.036**5 / 6] * 3)
    assert other.geom("cube").rgba.tolist() == pytest.approx([0.1, 0.2, 0.3, 1.0])
    assert other.geom("table").matid[0] == plain.geom("table").matid[0] + 2
    assert other.light("lamp").dir.tolist() == [0.0, 0.0, -1.0]
    wrist, scene = plain.camera("wrist").id, plain.camera("scene").id
    back = plain.cam_pos[scene] + 0.1 * _axes(plain.cam_quat[scene])[:, 2]
    np.testing.assert_allclose(other.cam_pos[scene], back, atol=1e-6)
    before, after = _axes(plain.cam_quat[wrist]), _axes(other.cam_quat[wrist])
    np.testing.assert_allclose(after[:, 0], before[:, 1], atol=1e-6)  # its right is where its up was
    assert other.cam_fovy[scene] == pytest.approx(0.5 * plain.cam_fovy[scene])
    with pytest.raises(UnsupportedError, match="cannot set cube_colour; it can set: cube_edge, cube_rgb"):
        engine.set_params(torch.tensor([0]), cube_colour=torch.zeros(1, 3))


def _axes(quaternion: np.ndarray) -> np.ndarray:
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)


def test_colors_by_hand():
    hsv = torch.tensor([[0, 1, 1], [1 / 6, 1, 1], [1 / 3, 1, 0.5], [2 / 3, 0.5, 1], [1, 1, 1], [0.4, 0, 0.7]])
    expected = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0.5, 0], [0.5, 0.5, 1], [1, 0, 0], [0.7, 0.7, 0.7]])
    torch.testing.assert_close(rgb(hsv.float()), expected.float(), atol=1e-6, rtol=0)


def test_looks_are_drawn_within_their_ranges():
    drawn = draw(Looks(), 2000, torch.Generator().manual_seed(0))
    assert {name: value.shape[1] for name, value in drawn.items()} == {n: k for n, k in SIZES.items() if n in drawn}
    assert set(SIZES) - set(drawn) == {"cube_edge"}
    counts = torch.bincount(drawn["table_pattern"][:, 0].long())
    assert len(counts) == len(PATTERNS)
    assert int(counts.min()) > 400
    for name in ("cube_rgb", "zone_rgb", "table_rgb", "floor_rgb", "lamp_rgb"):
        assert 0 <= float(drawn[name].min()) <= float(drawn[name].max()) <= 1
    assert float((drawn["cube_rgb"] - drawn["zone_rgb"]).norm(dim=-1).min()) > 0.15, "they can be told apart"
    assert float(drawn["lamp_direction"][:, 2].max()) <= -math.cos(0.9) + 1e-6
    shift = drawn["scene_camera_shift"]
    assert float(shift.abs().max()) == pytest.approx(0.015, rel=0.01)
    assert float(shift.mean().abs()) < 1e-3
