"""Drives of every kind in small models: what they make of a command, and what they do without one."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np
import pytest

from isthmus_deploy.ros.stand_in_robot.worlds.described import DescribedWorld, bare_scene
from isthmus_deploy.ros.stand_in_robot.worlds.drives import Drive, make_drive
from isthmus_sim.actuators import Motor, PDMotors, PositionServos, Torques
from isthmus_sim.description import RobotDescription
from isthmus_sim.robots.quadrotor.description import GRAVITY
from isthmus_sim.robots.quadrotor.description import ROBOT as QUADROTOR
from isthmus_sim.scene import Scene
from isthmus_sim.specs import CommandSpec, JointSpec

_JOINT = JointSpec(
    stiffness=4.0, damping=0.5, position_min=-1.0, position_max=1.0, velocity_limit=10.0, effort_limit=2.0,
    default_position=0.0,
)  # fmt: skip
_MODEL = """
<mujoco>
  <compiler angle="radian"/>
  <option gravity="0 0 0" timestep="0.002"/>
  <worldbody>
    <body><joint name="a"/><geom size="0.1"/></body>
    <body><joint name="b"/><geom size="0.1"/></body>
  </worldbody>
  <actuator>{}</actuator>
</mujoco>"""
_MOTORS = '<motor name="a" joint="a"/><motor name="b" joint="b"/>'
_SERVOS = '<position name="a" joint="a" kp="9" kv="0.5" gear="2"/><position name="b" joint="b" kp="9" kv="0.5"/>'


def nominal(scene: Scene) -> dict[str, np.ndarray]:
    return {p.name: np.array(p.nominal) for p in scene.parameters}


def parts(actuator: PDMotors | PositionServos | Torques, actuators: str) -> tuple[Drive, mujoco.MjData, mujoco.MjModel]:
    """The drive of two joints, which are at 0.3 and -0.2 rad and turn at 2 and -4 rad/s."""
    command = CommandSpec(
        name="move", unit="1", frame="joint", order=("a", "b"), minimum=(-9.0, -9.0), maximum=(9.0, 9.0),
        max_rate=(9.0, 9.0), safe=(0.0, 0.0), standby=(0.0, 0.0),
    )  # fmt: skip
    robot = RobotDescription(
        name="two", control_period_s=0.02, signals=(), commands=(command,), joints=dict.fromkeys("ab", _JOINT),
        actuators=(actuator,), model=lambda looks: _MODEL.format(actuators),
    )  # fmt: skip
    model = mujoco.MjModel.from_xml_string(_MODEL.format(actuators))
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = (0.3, -0.2), (2.0, -4.0)
    mujoco.mj_forward(model, data)
    return make_drive(actuator, robot, model, nominal(bare_scene(robot))), data, model


def force(model: mujoco.MjModel, data: mujoco.MjData) -> list[float]:
    """What the actuators give at the joints, N·m."""
    mujoco.mj_forward(model, data)
    return data.qfrc_actuator.tolist()


def test_torques_are_given_as_they_are_told():
    drive, data, model = parts(Torques(command="move", actuators=("b", "a")), _MOTORS)
    drive.control(np.array([1.5, -0.5]), data)
    assert force(model, data) == pytest.approx([-0.5, 1.5]), "in the command's order, not the model's"
    drive.control(None, data)
    assert force(model, data) == pytest.approx([-0.5 * 2.0, 0.5 * 4.0])


def test_servos_hold_what_they_are_told_in_their_unit_and_else_only_damp():
    drive, data, model = parts(
        PositionServos(command="move", actuators=("a", "b"), scale=(2.0, 1.0), offset=(0.1, 0.0)), _SERVOS
    )
    drive.control(np.array([0.5, 0.1]), data)
    assert data.ctrl.tolist() == pytest.approx([1.1, 0.1])
    drive.control(None, data)
    # A gear of 2 doubles speed and force: 0.5 N·m·s/rad there are 2 at the joint.
    assert force(model, data) == pytest.approx([-2.0 * 2.0, 0.5 * 4.0])


def test_two_groups_of_motors_have_parameters_of_their_own():
    motors = {"a": Motor(effort_limit=1.0, no_load_speed=10.0, corner_speed=9.0, armature=0.0)}
    group = PDMotors(command="move", joints={"a": _JOINT}, motors=motors, prefix="arm_")
    model = mujoco.MjModel.from_xml_string(_MODEL.format(_MOTORS))
    values = {
        "arm_stiffness": np.array([3.0]), "arm_damping": np.array([0.0]), "arm_strength": np.array([0.5]),
        "arm_command_delay_s": np.array([0.0]), "stiffness": np.array([99.0]),
    }  # fmt: skip
    robot = RobotDescription(name="two", control_period_s=0.02, signals=(), commands=())
    drive, data = make_drive(group, robot, model, values), mujoco.MjData(model)
    drive.control(np.array([0.2]), data)
    assert data.ctrl[0] == pytest.approx(0.5 * 3.0 * 0.2)
    drive.control(np.array([9.0]), data)
    assert data.ctrl[0] == pytest.approx(0.5 * 1.0), "no more than the motor gives"


def test_any_robot_with_rotors_has_a_stand_in():
    """An outside quadrotor: in the air, thrust at 1.2 times the speed of hovering gives 0.44 g upwards."""
    robot = dataclasses.replace(QUADROTOR, name="another")
    world = DescribedWorld(bare_scene(robot), 0, values=nominal(bare_scene(robot)))
    thrust = world.values["thrust_coefficient"].item() * world.values["battery"].item() ** 2
    hover = np.sqrt(world.mass * GRAVITY / (4 * thrust))
    command = {"rotor_speed": np.full(4, 1.2 * hover)}
    world.step(command, 1500)
    before = world.truth().linear_velocity[2]
    world.step(command)
    assert (world.truth().linear_velocity[2] - before) / world.timestep_s == pytest.approx(0.44 * GRAVITY, rel=0.01)
    assert world.truth().position[2] > 1.0
    world.step({"rotor_speed": None}, 1500)
    assert world.truth().linear_velocity[2] < 0.0, "without a command the rotors run down"
