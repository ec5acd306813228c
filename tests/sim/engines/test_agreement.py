"""A description that contradicts its model is refused before anything moves, with the lines that do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grabber import ARM, DRIVES, JAW, JOINTS, MJCF, MOTOR, ROBOT, command, joint, position, scene

from isthmus_sim.actuators import PositionServos, Rotors, Torques
from isthmus_sim.description import RobotDescription, Stance
from isthmus_sim.engine import UnsupportedError
from isthmus_sim.engines.agreement import DescriptionError
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.scene import Quantity, Scene, joint_load
from isthmus_sim.specs import JointSpec, scalar
from isthmus_sim.variations import GroundFriction, Load


def refusal(scene: Scene) -> str:
    with pytest.raises(DescriptionError) as raised:
        MujocoEngine(scene, 1, num_threads=1)
    return str(raised.value)


def other_model(old: str, new: str) -> RobotDescription:
    assert MJCF.count(old) == 1
    return replace(ROBOT, model=lambda looks: MJCF.replace(old, new))


def with_joints(**changes: JointSpec) -> RobotDescription:
    return replace(ROBOT, joints={**ROBOT.joints, **changes})


@pytest.mark.parametrize(
    ("robot", "parts"),
    [
        (with_joints(wrist=joint("elbow")), ("joints.wrist", "no such joint", "shoulder, elbow, gripper")),
        (
            with_joints(elbow=replace(joint("elbow"), position_max=0.5)),
            ("joints.elbow", "[-2, 0.5]", "[-2, 0]", "narrow"),
        ),
        (
            replace(ROBOT, signals=(position("elbow", "shoulder", "gripper"),)),
            ("signals.joint_position.order", "elbow, shoulder, gripper", "in order: shoulder, elbow, gripper"),
        ),
        (
            replace(ROBOT, commands=(replace(ROBOT.commands[0], minimum=(-1.0,)), ROBOT.commands[1])),
            ("commands.arm", "2 elements", "minimum"),
        ),
        (
            replace(ROBOT, commands=(command("arm", "elbow", "shoulder"), ROBOT.commands[1])),
            ("commands.arm.order", "elbow, shoulder", "shoulder, elbow"),
        ),
        (replace(ROBOT, commands=(command("arm", "elbow"), ROBOT.commands[1])), ("commands.arm", "1 elements for 2")),
        (replace(ROBOT, commands=ROBOT.commands[:1]), ("'jaw'", "there are: arm")),
        (replace(ROBOT, actuators=(DRIVES,)), ("commands.jaw", "0 actuators")),
        (replace(ROBOT, actuators=(DRIVES, JAW, JAW)), ("commands.jaw", "2 actuators")),
        (
            replace(ROBOT, actuators=(DRIVES, replace(JAW, actuators=("jaw",)))),
            ("actuators.jaw", "no such actuator", "shoulder, elbow, gripper"),
        ),
        (
            replace(ROBOT, actuators=(DRIVES, Torques(command="jaw", actuators=("gripper",)))),
            ("actuators.gripper", "Torques needs a motor"),
        ),
        (
            replace(ROBOT, actuators=(PositionServos(command="arm", actuators=ARM), JAW)),
            ("actuators.shoulder", "PositionServos needs a position servo", "actuators.elbow"),
        ),
        (
            replace(ROBOT, actuators=(DRIVES, Rotors(
                command="jaw", actuators=("gripper",), parameters=(scalar("battery", "1", 1.0, (0.9, 1.0)),)))),
            ("Rotors of jaw", "thrust_coefficient, time_constant_up, time_constant_down; they have: battery"),
        ),
        (other_model('joint="elbow"/>', 'joint="shoulder"/>'), ("actuators.elbow", "must act on the joint 'elbow'")),
        (other_model('joint="elbow"/>', 'joint="elbow" gear="50"/>'), ("actuators.elbow", "50 N·m", "set gear")),
        (
            other_model('joint="elbow"/>', 'joint="elbow" ctrllimited="true" ctrlrange="-2 2"/>'),
            ("actuators.elbow", "2 N·m", "5", "ctrlrange"),
        ),
        (
            replace(ROBOT, actuators=(replace(DRIVES, motors={"elbow": MOTOR}), JAW)),
            ("actuators.shoulder", "no motor", "there are: elbow"),
        ),
        (
            other_model('name="elbow" axis', 'name="elbow" actuatorfrclimited="true" actuatorfrcrange="-2 2" axis'),
            ("actuators.elbow", "2 N·m", "5", "actuatorfrcrange"),
        ),
        (
            replace(ROBOT, commands=(replace(command("arm", *ARM), unit="rad"), ROBOT.commands[1])),
            ("commands.arm", "[-1, 1] for elbow", "[-2, 0]"),
        ),
        (
            with_joints(elbow=replace(joint("elbow"), stiffness=30.0)),
            ("joints.elbow", "stiffness 30", "20", "both the same"),
        ),
        (with_joints(elbow=replace(joint("elbow"), effort_limit=6.0)), ("joints.elbow", "effort_limit 6", "motor's 5")),
        (
            replace(ROBOT, actuators=(
                replace(DRIVES, motors=dict.fromkeys(ARM, replace(MOTOR, corner_speed=20.0))), JAW)),
            ("actuators.elbow", "corner_speed 20", "no_load_speed 20"),
        ),
        (replace(ROBOT, stances={"rest": Stance(joints=(0.0, 0.3, 0.0))}), ("stances.rest", "0.3 for elbow")),
        (replace(ROBOT, stances={"rest": Stance(joints=(0.0,))}), ("stances.rest", "1 angles for 3 joints")),
        (replace(ROBOT, mirror={"elbow": ("knee", 1.0)}), ("mirror", "no joint knee", "shoulder, elbow, gripper")),
        (replace(ROBOT, mass=1.2), ("mass: 1.2 kg", "1 kg")),
        (replace(ROBOT, base="upper"), ("base", "no body 'upper' with a <freejoint/>", "it has: none")),
        (
            replace(ROBOT, commands=(*ROBOT.commands, command("more", *ARM)),
                    actuators=(*ROBOT.actuators, replace(DRIVES, command="more"))),
            ("parameters", "2 are called 'stiffness'", "prefix"),
        ),
        (replace(ROBOT, variations=(GroundFriction(nominal=0.7),)), ("variations", "geom_friction", "friction")),
        (replace(ROBOT, variations=(GroundFriction(geom="floor"),)), ("variations", "GroundFriction", "'floor'")),
        (
            replace(ROBOT, variations=(Load(body="upper"), Load(body="fore"))),
            ("variations", "Load and Load both change body_mass"),
        ),
    ],
)  # fmt: skip
def test_each_contradiction_is_a_line_that_names_it(robot: RobotDescription, parts: tuple[str, ...]):
    message = refusal(scene(robot))
    assert "'grabber'" in message
    assert [part for part in parts if part not in message] == []


@pytest.mark.parametrize(
    ("quantity", "parts"),
    [
        (Quantity(name="place", kind="position", of=("fore",), shape=(3,), unit="m"), ("<freejoint/> 'fore'", "none")),
        (Quantity(name="hand", kind="site_position", of=("hand",), shape=(3,), unit="m"), ("site 'hand'", "tip")),
        (Quantity(name="gyro", kind="sensor", of=("gyro",), shape=(3,), unit="rad/s"), ("sensor 'gyro'", "none")),
        (Quantity(name="mark", kind="mocap_position", of=("jaw",), shape=(3,), unit="m"), ("mocap body 'jaw'",)),
        (Quantity(name="edge", kind="parameter", of=("edge",), shape=(1,), unit="m"), ("'edge'", "stiffness")),
        (Quantity(name="eye", kind="camera", of=("eye",), shape=(8, 8, 3), unit="1"), ("camera 'eye'", "none")),
    ],
)
def test_what_is_to_be_read_must_be_there(quantity: Quantity, parts: tuple[str, ...]):
    message = refusal(scene(ROBOT, quantity))
    assert f"quantities.{quantity.name}" in message
    assert [part for part in parts if part not in message] == []


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (None, "a NoneType, not MJCF"),
        (Path("arm.xml"), "Path, not MJCF"),
        ("arm.xml", r"'arm\.xml', not MJCF"),
        ("<mujoco>", "cannot be read"),
        ('<mujoco><worldbody><body><joint/></body></worldbody></mujoco>', "does not compile"),
    ],
)
def test_a_model_that_is_none_is_named_by_its_robot(given: Any, named: str):
    with pytest.raises(ValueError, match=f"the model of 'grabber' .*{named}"):
        MujocoEngine(scene(replace(ROBOT, model=lambda looks: given)), 1, num_threads=1)


def test_all_contradictions_are_told_at_once():
    robot = replace(with_joints(wrist=joint("elbow")), mass=3.0, commands=ROBOT.commands[:1])
    assert refusal(scene(robot)).count("\n") == 3


def test_a_torque_that_no_actuator_tells_is_refused():
    """A servo's force is the model's own affair."""
    robot_scene = replace(scene(), quantities=joint_load(JOINTS))
    with pytest.raises(UnsupportedError, match=r"joint_torque of gripper; they tell that of: shoulder, elbow"):
        MujocoEngine(robot_scene, 1, num_threads=1)
