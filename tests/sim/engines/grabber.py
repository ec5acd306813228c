"""A small robot with two commands, for the tests of engines: an arm of two joints with motors, and a gripper."""

from __future__ import annotations

from typing import Any

from isthmus_sim.actuators import Motor, PDMotors, PositionServos
from isthmus_sim.description import RobotDescription
from isthmus_sim.scene import Quantity, Scene, joint_load, joint_motion, remembered
from isthmus_sim.specs import CommandSpec, JointSpec, SignalSpec

MJCF = """
<mujoco>
  <worldbody>
    <geom name="ground" type="plane" size="1 1 1"/>
    <body name="upper" pos="0 0 1">
      <joint name="shoulder" axis="0 1 0" range="-1.5 1.5" limited="true"/>
      <geom type="capsule" fromto="0 0 0 0 0 -0.3" size="0.02" mass="0.5"/>
      <body name="fore" pos="0 0 -0.3">
        <joint name="elbow" axis="0 1 0" range="-2 0" limited="true"/>
        <geom type="capsule" fromto="0 0 0 0 0 -0.3" size="0.02" mass="0.4"/>
        <site name="tip" pos="0 0 -0.3"/>
        <body name="jaw" pos="0 0 -0.3">
          <joint name="gripper" type="slide" axis="1 0 0" range="0 0.05" limited="true"/>
          <geom type="box" size="0.01 0.01 0.02" mass="0.1"/>
        </body>
      </body>
    </body>
  </worldbody>
  <compiler angle="radian"/>
  <option gravity="0 0 0"/>
  <default><joint armature="0.05"/></default>
  <actuator>
    <motor name="shoulder" joint="shoulder"/>
    <motor name="elbow" joint="elbow"/>
    <position name="gripper" joint="gripper" kp="100" kv="5"/>
  </actuator>
</mujoco>"""
JOINTS = ("shoulder", "elbow", "gripper")
LIMITS = {"shoulder": (-1.5, 1.5), "elbow": (-2.0, 0.0), "gripper": (0.0, 0.05)}


def joint(name: str) -> JointSpec:
    low, high = LIMITS[name]
    return JointSpec(
        stiffness=20.0, damping=1.0, position_min=low, position_max=high, velocity_limit=10.0, effort_limit=5.0,
        default_position=0.0,
    )  # fmt: skip


def command(name: str, *order: str) -> CommandSpec:
    zero, one = (0.0,) * len(order), (1.0,) * len(order)
    return CommandSpec(
        name=name, unit="1", frame="joint", order=order, minimum=tuple(-x for x in one), maximum=one, max_rate=one,
        safe=zero, standby=zero,
    )  # fmt: skip


def position(*order: str) -> SignalSpec:
    size = len(order)
    return SignalSpec(
        name="joint_position", unit="rad", frame="joint", order=order, minimum=(-3.0,) * size, maximum=(3.0,) * size,
        max_jump=(1.0,) * size, max_age_s=0.1,
    )  # fmt: skip


ARM = ("shoulder", "elbow")
MOTOR = Motor(effort_limit=5.0, no_load_speed=20.0, corner_speed=10.0, armature=0.0)
DRIVES = PDMotors(command="arm", joints={name: joint(name) for name in ARM}, motors=dict.fromkeys(ARM, MOTOR))
JAW = PositionServos(command="jaw", actuators=("gripper",))
ROBOT = RobotDescription(
    name="grabber",
    control_period_s=0.02,
    signals=(position(*JOINTS),),
    commands=(command("arm", *ARM), command("jaw", "gripper")),
    joints={name: joint(name) for name in JOINTS},
    actuators=(DRIVES, JAW),
    model=lambda looks: MJCF,
    mass=1.0,
)


def scene(robot: RobotDescription = ROBOT, *more: Quantity, **changes: Any) -> Scene:
    return Scene(
        robot=robot, timestep_s=0.005,
        quantities=(*joint_motion(tuple(robot.joints)), *joint_load(ARM), remembered(2, "rad"), *more), **changes,
    )  # fmt: skip
