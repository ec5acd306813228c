"""A robot that calls, counts and orders its joints otherwise: by its profile it is driven, and the doctor sees it."""

from __future__ import annotations

import pytest
import resting_policy
from ros_processes import LEGS

from isthmus_sim.robots.biped.description import ROBOT as BIPED
from isthmus_sim.robots.quadrotor.description import ROBOT as QUADROTOR
from isthmus_sim.robots.so101.description import ROBOT as ARM

pytestmark = pytest.mark.ros

PROFILE = """\
profile: 1
robot: quadruped
note: made up for this test
topics:
  joint_states: {topic: low_state/joints, reliability: reliable}
  imu: {topic: /base_imu/data, mounting: [0, 1, 0, 0]}
  cmd_vel: {topic: walk, type: geometry_msgs/Twist}
joints:
  FL_hip_joint: {name: FL0, sign: -1, unit: deg, offset: 5}
  FL_thigh_joint: {name: FL1}
  FL_calf_joint: {name: FL2, offset: 0.2}
  FR_hip_joint: {name: FR0}
  FR_thigh_joint: {name: FR1, sign: -1}
  FR_calf_joint: {name: FR2}
  RL_hip_joint: {name: RL0}
  RL_thigh_joint: {name: RL1}
  RL_calf_joint: {name: RL2}
  RR_hip_joint: {name: A0}
  RR_thigh_joint: {name: A1}
  RR_calf_joint: {name: A2, unit: deg}
commands:
  joint_position_target: {topic: legs/commands, controller: legs}
"""


@pytest.fixture
def profile(tmp_path):
    path = tmp_path / "made_up.yaml"
    path.write_text(PROFILE)
    return path


def test_it_stands_as_its_profile_says_after_the_doctor_has_seen_it(start, standing, walker, profile):
    start(*LEGS, "--profile", profile)
    doctor = start("node.policy_node", "doctor", profile, standing, "--watch-s", 1.0)
    assert doctor.exit_status() == 0, doctor.output
    for words in (
        r"ok     profile: fits the policy; made up for this test",
        r"ok     /low_state/joints: [0-9.]+ Hz",
        r"note   /walk: nobody publishes it \(geometry_msgs/msg/Twist\)",
        r"ok     readings: all are plausible",
        r"ok     /legs/commands: taken by stand_in_robot",
        r"nothing is wrong",
    ):
        doctor.wait_for(words, 1.0)
    start("node.policy_node", standing, "--profile", profile).wait_for("ready: quadruped at 50 Hz")
    walker.stand_up()
    walker.wait_state("running")
    walker.wait("a robot that stands", lambda: walker.position[2] > 0.23 and walker.up > 0.95)


@pytest.mark.parametrize("robot", [QUADROTOR, BIPED, ARM], ids=lambda robot: robot.name)
def test_the_doctor_and_the_node_meet_a_robot_that_speaks_as_a_profile_that_comes_along(start, tmp_path, robot):
    policy = tmp_path / "rest.onnx"
    policy.write_bytes(resting_policy.policy_file(robot))
    start("stand_in_robot", "--robot", robot.name, "--profile", robot.name).wait_for("at rest")
    doctor = start("node.policy_node", "doctor", robot.name, policy, "--watch-s", 1.0)
    assert doctor.exit_status() == 0, doctor.output
    start("node.policy_node", policy, "--profile", robot.name).wait_for(f"ready: {robot.name}")


def test_a_stand_in_does_not_speak_as_another_robot(start):
    robot = start(*LEGS, "--profile", "biped")
    assert robot.exit_status() == 2
    assert "isthmus-stand-in: refused: biped is of biped, not of quadruped" in robot.output


def test_without_its_profile_it_is_not_known(start, standing, profile):
    start(*LEGS, "--profile", profile).wait_for("at rest")
    node = start("node.policy_node", standing, "--wait-s", 2.0)
    assert node.exit_status() == 2
    assert "no robot: nothing on /robot_interface" in node.output
    assert "where is its --profile?" in node.output
    doctor = start("node.policy_node", "doctor", standing, "--wait-s", 2.0, "--watch-s", 0.5)
    assert doctor.exit_status() == 1
    for words in (
        "WRONG  robot: nobody says what it is on /robot_interface",
        r"WRONG  /joint_states: nobody publishes it \(sensor_msgs/msg/JointState\)",
        "WRONG  readings: never received joint_position",
        "WRONG  /forward_position_controller/commands: nobody takes joint_position_target",
    ):
        doctor.wait_for(words, 1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("legs}", "feet}"), "the controller feet does not say which joints it takes"),
        (("name: A0", "name: A9"), "the robot takes A0, A1, A2, FL0.*; the policy commands FL0, .*A9"),
        (
            ("imu:", "inertia:"),
            "the profile's topics.inertia: the policy reads no topic of that name; it reads cmd_vel, imu, joint_states",
        ),
        (("quadruped", "biped"), "robot: contract quadruped, robot biped"),
    ],
)
def test_a_profile_that_is_not_the_robots_is_refused_before_anything_is_armed(start, standing, profile, change, words):
    start(*LEGS, "--profile", profile).wait_for("at rest")
    wrong = profile.with_name("wrong.yaml")
    wrong.write_text(PROFILE.replace(*change))
    node = start("node.policy_node", standing, "--profile", wrong, "--wait-s", 4.0)
    assert node.exit_status() == 2
    node.wait_for(words, 1.0)
    assert "Traceback" not in node.output


def test_the_doctor_sees_who_drives_the_robot_already(start, standing):
    start(*LEGS).wait_for("at rest")
    start("node.policy_node", standing).wait_for("ready")
    doctor = start("node.policy_node", "doctor", standing, "--watch-s", 1.0)
    assert doctor.exit_status() == 1
    doctor.wait_for("WRONG  /forward_position_controller/commands: /policy_node already sends commands", 1.0)
    doctor.wait_for("ok     robot: quadruped matches the policy's contract", 1.0)


def test_a_domain_that_cannot_be_is_the_doctors_first_word(start, standing):
    doctor = start("node.policy_node", "doctor", standing, environment={"ROS_DOMAIN_ID": "kitchen"})
    assert doctor.exit_status() == 1
    assert doctor.output == "WRONG  ROS_DOMAIN_ID: 'kitchen' is no whole number from 0 to 232\n"
