"""The desktop arm: reach and weight by hand, what its servos give, a grip that holds by friction."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest
import torch

from isthmus_deploy.contracts.kinematics import Kinematics
from isthmus_deploy.contracts.safety_data import safety_of
from isthmus_sim.engine import Resets, State
from isthmus_sim.engines import make_engine
from isthmus_sim.robots.so101.description import (
    FOLDED,
    HOME,
    JOINTS,
    NO_LOAD_SPEED,
    RANGE,
    ROBOT,
    SAFETY,
    STALL_TORQUE,
    grip_angle,
)
from isthmus_sim.scenes.desk import desk_mjcf, desk_scene


def desk() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(desk_mjcf())


def alone() -> mujoco.MjModel:
    assert ROBOT.model is not None
    return mujoco.MjModel.from_xml_string(ROBOT.model(False))


def tip(*joints: float) -> np.ndarray:
    """(3,) m at joint angles in rad, the gripper's at zero."""
    model = alone()
    data = mujoco.MjData(model)
    data.qpos[:5] = joints
    mujoco.mj_kinematics(model, data)
    return data.site("gripper_tip").xpos.copy()


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
)
def test_reach_by_hand(joints: tuple[float, ...], expected: tuple[float, ...]):
    np.testing.assert_allclose(tip(*joints), expected, atol=1e-9)


def test_the_safety_chain_knows_where_targets_put_the_tip():
    """The chain of its description against MuJoCo's kinematics, all over its range."""
    safety = safety_of(ROBOT.safety)
    assert safety is not None
    (held,) = safety.tools
    chain, generator = Kinematics(held.links, held.point), np.random.default_rng(0)
    for joints in generator.uniform(*np.array([RANGE[name] for name in JOINTS[:5]]).T, size=(200, 5)):
        np.testing.assert_allclose(chain.place(joints.tolist()).point, tip(*joints), atol=1e-12)


@pytest.mark.parametrize("pose", [HOME, FOLDED])
def test_the_tip_may_be_where_the_arm_rests(pose: tuple[float, ...]):
    safety = safety_of(SAFETY)
    assert safety is not None
    assert tip(*pose[:5])[2] > safety.tools[0].half_spaces[0].offset + 0.01


def test_the_jaws_are_as_far_apart_as_said():
    """Measured between the two faces, at the ends of the jaws."""
    model = alone()
    data = mujoco.MjData(model)
    for gap in (0.005, 0.0163, 0.03, 0.05):
        data.qpos[5] = grip_angle(gap)
        mujoco.mj_kinematics(model, data)
        fixed, moving = (model.geom(name) for name in ("fixed_jaw", "moving_jaw"))
        face = data.geom_xpos[fixed.id][2] + fixed.size[2]
        corner = data.geom_xmat[moving.id].reshape(3, 3) @ (moving.size[0], 0.0, -moving.size[2])
        assert data.geom_xpos[moving.id][2] + corner[2] - face == pytest.approx(gap, abs=1e-4)


def test_weight_and_description():
    assert float(alone().body_mass.sum()) == pytest.approx(0.632, abs=0.001)
    assert float(desk().body("cube").mass[0]) == pytest.approx(0.0189), "27 cm³ of beech"
    assert tuple(ROBOT.joints) == ROBOT.commands[0].order == ROBOT.signals[0].order == JOINTS
    assert round(1 / ROBOT.control_period_s) == 30
    for pose in (HOME, FOLDED):
        assert all(low < angle < high for angle, (low, high) in zip(pose, RANGE.values(), strict=True))


def test_a_servo_neither_outruns_nor_outpulls_its_data():
    """Sent to the other end of its range the pan joint turns at most at 45 rpm, and holds 30 kg·cm and no more."""
    model = alone()
    data = mujoco.MjData(model)
    data.qpos[:6] = data.ctrl[:] = HOME
    data.ctrl[0], speeds, forces = 1.9, [], []
    for _ in range(400):
        mujoco.mj_step(model, data)
        speeds.append(data.qvel[0])
        forces.append(data.actuator_force[0])
    assert 0.5 * NO_LOAD_SPEED < max(speeds) < NO_LOAD_SPEED
    assert max(forces) == pytest.approx(STALL_TORQUE) == pytest.approx(2.942, abs=1e-3)
    assert data.qpos[0] == pytest.approx(1.9, abs=0.02)


def test_at_its_desk_it_has_the_same_joints_first():
    by_itself, at_desk = alone(), desk()
    assert by_itself.nq == 6
    names = [[model.joint(i).name for i in range(6)] for model in (by_itself, at_desk)]
    assert names[0] == names[1] == list(JOINTS)


def test_jaws_lift_the_cube_by_friction_hold_it_and_let_it_fall():
    """The tool points down at 22 cm and 16 mm above the table, the cube between its jaws, then at 10 cm above it."""
    low, high = (0.0, -0.063, 0.5255, 1.1083, 0.0), (0.0, -0.518, 0.383, 1.435, 0.0)
    np.testing.assert_allclose(tip(*low), (0.22, 0.0, 0.016), atol=1e-3)
    np.testing.assert_allclose(tip(*high), (0.22, 0.0, 0.1), atol=1e-3)
    engine = make_engine(desk_scene(ROBOT), 1, "mujoco")
    start = {
        "joint_position": torch.tensor([(*low, 0.5)]),
        "cube_position": torch.tensor([[0.222, 0.0, 0.015]]),
        "zone_position": torch.tensor([[0.2, 0.2]]),
    }
    state = engine.advance(None, Resets(ids=torch.tensor([0]), state=start))

    def held(steps: int, *joints: float) -> State:
        command = {"joint_position_target": torch.tensor([joints])}
        return [engine.advance(command) for _ in range(steps)][-1]

    def touches(state: State) -> list[bool]:
        return (state["contact_count"][0] > 0).tolist()

    assert touches(state) == [False, False]
    assert touches(held(15, *low, grip_angle(0.024))) == [True, True]
    lifted = float(held(30, *high, grip_angle(0.024))["cube_position"][0, 2])
    assert lifted > 0.06
    later = held(150, *high, grip_angle(0.024))
    assert float(later["cube_position"][0, 2]) == pytest.approx(lifted, abs=0.002), "it creeps out"
    fallen = held(30, *high, 0.8)
    assert float(fallen["cube_position"][0, 2]) == pytest.approx(0.015, abs=0.001)
    assert touches(fallen) == [False, False]
