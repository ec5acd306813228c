"""Limits are those that both the robot's description and the model allow."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import replace

import mujoco
import pytest
from conftest import Load
from dogs import MJCF, URDF

from isthmus_sim.actuators import PDMotors
from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.limits import narrow_joints, narrow_robot
from isthmus_sim.robots.quadruped.description import MOTORS, ROBOT
from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf


def test_narrower_limits_are_the_models_and_wider_ones_the_robots(load: Load):
    loaded = load(URDF)
    joints, changes = narrow_joints(ROBOT, loaded.spec.compile(), loaded.velocity_limits)
    hip, thigh, calf = (joints[f"FL_{link}_joint"] for link in ("hip", "thigh", "calf"))
    assert (hip.position_min, hip.position_max) == (-1.0, 1.0)  # of ±1.0472
    assert (thigh.position_min, thigh.position_max) == (-1.5, 3.4907)  # of -1.5708, which is wider; 4.0 is wider
    assert (calf.position_min, calf.position_max) == (-2.7, -0.83776)
    assert (hip.effort_limit, calf.effort_limit) == (20, 20)  # of 23.7 and 45.43
    assert (hip.velocity_limit, calf.velocity_limit) == (20, 15.7)  # of 30.1; 20 is wider than 15.7
    assert (hip.stiffness, hip.default_position) == (25.0, 0.0)
    told = [change for change in changes if "RR_thigh_joint" in change and "position" in change]
    assert len(told) == 1
    assert "[-0.5236, 4.538]" in told[0]
    assert "[-0.5236, 4]" in told[0]
    assert not any("velocity" in change and "calf" in change for change in changes)


def test_commands_narrow_with_their_joints(load: Load):
    robot, _ = narrow_robot(ROBOT, load(URDF).spec.compile())
    command = robot.commands[0]
    assert command.minimum[:3] == (-1.0, -1.5, -2.7)
    assert command.maximum[:3] == (1.0, 3.4907, -0.83776)
    assert robot.signals == ROBOT.signals
    torque = replace(ROBOT.commands[0], unit="N·m")
    assert narrow_robot(replace(ROBOT, commands=(torque,)), load(URDF).spec.compile())[0].commands == (torque,)


def test_motors_narrow_with_their_joints(load: Load):
    drives = narrow_robot(ROBOT, load(URDF).spec.compile())[0].actuators[0]
    assert isinstance(drives, PDMotors)
    assert drives.joints["FL_calf_joint"].position_min == -2.7
    hip, usual = drives.motors["FL_hip_joint"], MOTORS["hip"]
    assert hip.effort_limit == 20
    # The line from stall torque to no-load speed is the motor's own.
    assert (hip.saturation_effort, hip.no_load_speed) == pytest.approx((usual.saturation_effort, usual.no_load_speed))
    assert hip.corner_speed == pytest.approx(30.1 * (1 - 20 / (23.7 / (1 - 13.5 / 30.1))))


def test_the_own_model_narrows_nothing():
    assert narrow_robot(ROBOT, mujoco.MjModel.from_xml_string(quadruped_mjcf())) == (ROBOT, ())


def test_poses_outside_are_named_with_joint_and_numbers(load: Load):
    model = load(MJCF).spec.compile()
    model.jnt_range[model.joint("RL_calf_joint").id] = (-2.6, -1.6)
    with pytest.raises(ModelError) as error:
        narrow_joints(ROBOT, model)
    text = str(error.value)
    assert "default pose: RL_calf_joint -1.5 outside [-2.6, -1.6]" in text
    assert "standby pose: RL_calf_joint -1.5" in text
    assert "safe pose: RL_calf_joint -2.65 outside" in text


def test_limits_that_do_not_meet_are_refused(load: Load):
    model = load(MJCF).spec.compile()
    model.jnt_range[model.joint("RL_hip_joint").id] = (1.5, 2.0)
    with pytest.raises(ModelError, match=r"RL_hip_joint 0 outside \[1\.5, 1\.047\]"):
        narrow_joints(ROBOT, model)
