"""The arm with a peg in its hand: where the peg is, what the sensor at the wrist reads, and that the board is solid."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isthmus_sim.robots.so101.description import JOINTS, RANGE
from isthmus_sim.robots.so101.description import ROBOT as BARE
from isthmus_sim.robots.so101_peg.description import (
    FORCE,
    HOME,
    PEG_END,
    PEG_LENGTH,
    PEG_RADIUS,
    ROBOT_WITH_PEG,
    TORQUE,
)
from isthmus_sim.robots.so101_peg.kinematics import move_between, moved, peg_end, tilt, to_tool
from isthmus_sim.scenes.peg_board import BLOCK_HEIGHT, CLEARANCE, NOMINAL, TIMESTEP, peg_board_mjcf, peg_board_scene

ALUMINIUM, GRAVITY = 2700.0, 9.81


def board() -> tuple[mujoco.MjModel, mujoco.MjData]:
    """The arm at home over the hole."""
    model = mujoco.MjModel.from_xml_string(peg_board_mjcf())
    model.opt.timestep = TIMESTEP
    data = mujoco.MjData(model)
    data.qpos[:] = data.ctrl[:] = HOME
    return model, data


def reading(model: mujoco.MjModel, data: mujoco.MjData, name: str) -> np.ndarray:
    return data.sensor(name).data.copy()


def lowered(data: mujoco.MjData, *, by: float, ahead: float = 0.0, right: float = 0.0) -> None:
    """The target goes from home so far, m."""
    joints, steps = torch.tensor([HOME], dtype=torch.float64), 50
    for _ in range(steps):
        joints = moved(joints, torch.tensor([[ahead, right, by]], dtype=torch.float64) / steps)
    data.ctrl[:] = joints[0]


def press(model: mujoco.MjModel, data: mujoco.MjData, seconds: float) -> None:
    mujoco.mj_step(model, data, round(seconds / model.opt.timestep))


def gap(model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """How deep the peg is within what it touches, m."""
    return float(max(0.0, -data.contact.dist.min())) if data.ncon else 0.0


# Where the peg is
# ---------------------------------------------------------------------------------------------------------------------
def test_it_is_the_bare_arm_but_for_the_peg_and_the_sensor():
    assert ROBOT_WITH_PEG.model is not None
    ours, bare = (mujoco.MjModel.from_xml_string(robot.model(False)) for robot in (ROBOT_WITH_PEG, BARE))  # pyright: ignore
    assert [ours.joint(name).range.tolist() for name in JOINTS] == [bare.joint(name).range.tolist() for name in JOINTS]
    volume = np.pi * PEG_RADIUS**2 * PEG_LENGTH
    assert ours.body_mass.sum() - bare.body_mass.sum() == pytest.approx(ALUMINIUM * volume, rel=0.02)
    assert ours.ngeom == bare.ngeom + 1
    assert ours.nsensordata == bare.nsensordata + 6


def test_at_home_it_points_straight_down_over_the_hole():
    model, data = board()
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.site("peg_tip").xpos, (*NOMINAL, 0.045), atol=2e-4)
    np.testing.assert_allclose(data.site("peg_tip").xmat.reshape(3, 3)[:, 2], (0, 0, -1), atol=1e-3)
    np.testing.assert_allclose(data.site("peg_tip").xmat.reshape(3, 3)[:, 0], (1, 0, 0), atol=1e-3)


@given(st.tuples(*(st.floats(*RANGE[name]) for name in JOINTS[:4])))
def test_formulas_put_the_peg_where_the_model_has_it(joints: tuple[float, ...]):
    model, data = board()
    data.qpos[:4] = joints
    mujoco.mj_kinematics(model, data)
    angles = torch.tensor([[*joints, 0.0, 0.0]], dtype=torch.float64)
    np.testing.assert_allclose(peg_end(angles)[0], data.site("peg_tip").xpos, atol=1e-9)
    down = data.site("peg_tip").xmat.reshape(3, 3)[:, 2]
    assert float(tilt(angles).sin()) == pytest.approx(-np.hypot(*down[:2]) * np.sign(down[:2] @ _ahead(joints[0])))


def _ahead(pan: float) -> np.ndarray:
    return np.array([np.cos(pan), -np.sin(pan)])


@pytest.mark.parametrize("by", [(1e-4, 0, 0), (0, 1e-4, 0), (0, 0, 1e-4), (5e-5, -8e-5, 3e-5)])
@pytest.mark.parametrize("pan", [0.0, 0.6])
def test_a_small_move_is_one_in_the_axes_of_the_tool_and_keeps_the_direction(by: tuple[float, ...], pan: float):
    joints = torch.tensor([HOME], dtype=torch.float64)
    joints[0, 0] = pan
    wanted = torch.tensor([by], dtype=torch.float64)
    after = moved(joints, wanted)
    went = to_tool(joints, peg_end(after) - peg_end(joints))
    np.testing.assert_allclose(went, wanted, atol=1e-6)
    assert float(tilt(after)) == pytest.approx(float(tilt(joints)), abs=1e-12)
    np.testing.assert_allclose(move_between(joints, after), wanted, atol=1e-12)


# What the sensor reads
# ---------------------------------------------------------------------------------------------------------------------
def test_a_hanging_hand_pulls_by_its_weight():
    model, data = board()
    press(model, data, 2.0)
    weight = GRAVITY * model.body_subtreemass[model.body("gripper").id]
    np.testing.assert_allclose(reading(model, data, FORCE), (0, 0, -weight), atol=0.03)


@pytest.mark.parametrize(("axis", "push"), [(0, (1.0, 0, 0)), (1, (0, -1.0, 0)), (2, (0, 0, -1.0))])
def test_the_wrist_holds_against_a_push_along_each_axis_of_the_tool(axis: int, push: tuple[float, ...]):
    """World x is ahead, the tool's x; y is left, and its y right; z is up, and its z down."""
    model, data = board()
    press(model, data, 2.0)
    before = {name: reading(model, data, name) for name in (FORCE, TORQUE)}
    data.body("peg").xfrc_applied[:3] = push  # at the peg's middle
    press(model, data, 2.0)
    along, middle = np.eye(3)[axis], np.array([0.0, 0.0, PEG_END - 0.5 * PEG_LENGTH])
    np.testing.assert_allclose(reading(model, data, FORCE) - before[FORCE], -along, atol=0.03)
    np.testing.assert_allclose(reading(model, data, TORQUE) - before[TORQUE], -np.cross(middle, along), atol=0.003)


# The board is solid
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("aside", [0.003, 0.006, 0.012])
def test_beside_the_hole_the_peg_stays_on_the_block_however_hard_it_is_pressed(aside: float):
    """The target goes 25 mm into the block, which is more than the drives have force for."""
    model, data = board()
    data.mocap_pos[0, 1] = aside
    lowered(data, by=0.045)
    press(model, data, 2.0)
    end = data.site("peg_tip").xpos
    assert end[2] > BLOCK_HEIGHT - 0.003, "but for a hand that is tilted by the pressure"
    assert gap(model, data) < 0.0005
    assert reading(model, data, FORCE)[2] > 15.0


def test_in_the_hole_it_goes_all_the_way_and_no_wall_lets_it_out():
    model, data = board()
    lowered(data, by=0.022)
    press(model, data, 1.0)
    data.mocap_pos[0, :2] = data.site("peg_tip").xpos[:2]  # the arm sags by some millimetres
    lowered(data, by=0.037)
    press(model, data, 1.0)
    hole = data.mocap_pos[0, :2].copy()
    assert data.site("peg_tip").xpos[2] < BLOCK_HEIGHT - 0.010
    assert abs(reading(model, data, FORCE)[2]) < 3.0, "and hardly presses"
    for ahead, right in ((0.02, 0.0), (-0.02, 0.0), (0.0, 0.02), (0.0, -0.02)):
        lowered(data, by=0.037, ahead=ahead, right=right)
        press(model, data, 1.0)
        off = data.site("peg_tip").xpos[:2] - hole
        assert np.linalg.norm(off) < CLEARANCE + 0.001, (ahead, right)
        assert np.linalg.norm(reading(model, data, FORCE)[:2]) > 5.0, (ahead, right)


def test_the_arm_without_a_peg_is_refused():
    with pytest.raises(ValueError, match="take --robot so101_peg"):
        peg_board_scene(BARE)
