"""A small arm for tests: five joints that move the tool, and a gripper."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.features import Feature
from isthmus_datasets.recording.robot import Observation, RobotFeatures

JOINTS = ("pan", "lift", "elbow", "wrist", "roll")
SPEEDS = {**dict.fromkeys(JOINTS, 2.0), "gripper": 3.0}
ALL = (*JOINTS, "gripper")
RATE_HZ = 30
MJCF = """
<mujoco>
  <compiler angle="radian" autolimits="true"/>
  <worldbody>
    <body name="base" pos="0 0 0.06">
      <joint name="pan" axis="0 0 1" range="-1.9 1.9"/>
      <geom size="0.03"/>
      <body pos="0.03 0 0.05">
        <joint name="lift" axis="0 1 0" range="-1.7 1.7"/>
        <geom type="capsule" fromto="0 0 0 0.03 0 0.11" size="0.01"/>
        <body pos="0.03 0 0.11">
          <joint name="elbow" axis="0 1 0" range="-1.7 1.7"/>
          <geom type="capsule" fromto="0 0 0 0.135 0 0" size="0.01"/>
          <body pos="0.135 0 0">
            <joint name="wrist" axis="0 1 0" range="-1.7 1.7"/>
            <geom type="capsule" fromto="0 0 0 0.06 0 0" size="0.01"/>
            <body pos="0.06 0 0">
              <joint name="roll" axis="1 0 0" range="-2.7 2.7"/>
              <geom size="0.01"/>
              <site name="gripper_tip" pos="0.1 0 0" euler="0 1.5708 0"/>
              <body pos="0.03 0.02 0">
                <joint name="gripper" axis="0 0 1" range="-0.2 1.7"/>
                <geom type="capsule" fromto="0 0 0 0.07 0 0" size="0.005"/>
              </body>
            </body>
          </body>
        </body>
      </body>
    </body>
  </worldbody>
</mujoco>
"""
ACTION = ("gripper", *JOINTS)  # another order than the model's
FEATURES = RobotFeatures(
    robot_type="small_arm",
    columns={
        "state": Feature(dtype="float32", shape=(7,), names=("time", *(f"joint_position.{joint}" for joint in ALL)))
    },
    action=Feature(dtype="float32", shape=(6,), names=ACTION),
)


def model() -> mujoco.MjModel:
    """The model of `MJCF`."""
    return mujoco.MjModel.from_xml_string(MJCF)


class SmallArm:
    """Its joints are where the last action told them to be, if `held` does not name them."""

    def __init__(self, **joints: float) -> None:
        self.joints = dict.fromkeys(ALL, 0.0) | joints
        self.held: tuple[str, ...] = ()

    def observe(self) -> Observation:
        state = np.array([7.0, *(self.joints[name] for name in ALL)], np.float32)
        return Observation(columns={"state": state}, capture_time_ns={"state": 0})

    def act(self, action: NDArray[np.float32]) -> None:
        self.joints |= {name: float(v) for name, v in zip(ACTION, action, strict=True) if name not in self.held}


def tip(arm: mujoco.MjModel, joints: dict[str, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Position (3,) m and orientation (4,) wxyz of the tool."""
    data = mujoco.MjData(arm)
    for name, angle in joints.items():
        data.joint(name).qpos = angle
    mujoco.mj_kinematics(arm, data)
    wxyz = np.empty(4)
    mujoco.mju_mat2Quat(wxyz, data.site("gripper_tip").xmat)
    return data.site("gripper_tip").xpos.copy(), wxyz
