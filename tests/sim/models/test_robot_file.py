"""A robot file makes a model a robot of its own; every number that another robot lends is said, or refused."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from dogs import MJCF

from isthmus_sim.models.described import described, motors_of, refuse_lent_strength
from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.robot_file import RobotFile, read_robot_file
from isthmus_sim.robots.quadruped.description import MASS, ROBOT
from isthmus_sim.robots.so101.description import ROBOT as ARM

SHORT = 'name = "rex"\nbase = "quadruped"\nmodel = "rex.xml"\n'
GAINS = "[gains]\nstiffness = 40\ndamping = 1\n"
MOTOR = (
    '[motors."*"]\neffort_limit = 30\nno_load_speed = 20\ncorner_speed = 9\narmature = 0.01\nfriction = 0.1\n'
    "damping = 0.02\n"
)

File = Callable[[str], RobotFile]


@pytest.fixture
def file(tmp_path: Path) -> File:
    """Text of a robot file -> what it says; its model lies beside it."""
    (tmp_path / "rex.xml").write_text(MJCF)

    def file(text: str) -> RobotFile:
        path = tmp_path / "rex.toml"
        path.write_text(text)
        return read_robot_file(path)

    return file


def test_a_robot_file_says_what_it_says(file: File, tmp_path: Path):
    rex = file(
        SHORT + 'base_link = "trunk"\n[joints]\nFL_hip_joint = "a"\n[feet]\nFL = "toe"\n'
        '[gains]\nstiffness = 40\ndamping = { "*_calf_joint" = 1, FL_hip_joint = 0.5 }\n'
        '[motors."*_hip_joint"]\neffort_limit = 30\n[poses.default]\n"*_calf_joint" = -1.4\n'
    )
    assert rex == RobotFile(
        path=tmp_path / "rex.toml", name="rex", base="quadruped", model=str(tmp_path / "rex.xml"), base_link="trunk",
        joints={"FL_hip_joint": "a"}, feet={"FL": "toe"}, stiffness={"*": 40.0},
        damping={"*_calf_joint": 1.0, "FL_hip_joint": 0.5}, motors={"effort_limit": {"*_hip_joint": 30.0}},
        default_pose={"*_calf_joint": -1.4},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "name is missing"),
        ('name = "rex"\nmodel = "rex.xml"', r"base is missing.*base = "),
        ('name = "rex"\nbase = "quadruped"', r"model is missing.*model = "),
        (SHORT.replace("rex.xml", "no.xml"), r"no\.xml"),
        (SHORT.replace('"rex"', '"my rex"'), "'my rex'"),
        (SHORT.replace('"quadruped"', "4"), "base = 4"),
        (SHORT + "gain = 3", r"unknown keys: gain\. Valid: name, .*gains"),
        (SHORT + "[gains]\nkp = 3", r"gains\.kp\. Valid: gains\.stiffness, gains\.damping"),
        (SHORT + "[motors.FL_hip_joint]\ntorque = 3", r'motors\."FL_hip_joint"\.torque\. Valid: .*effort_limit'),
        (SHORT + "[poses.prone]", r"poses\.prone\. Valid: poses\.default, poses\.safe"),
        (SHORT + "gains = 3", r"\[gains\]"),
        (SHORT + "[gains]\nstiffness = -1", r"gains\.stiffness = -1.*positive"),
        (SHORT + "[gains]\nstiffness = true", r"gains\.stiffness = True.*number"),
        (SHORT + "[gains]\ndamping = nan", r"gains\.damping = nan.*number"),
        (SHORT + '[poses.default]\nFL_hip_joint = "up"', r'poses\.default\."FL_hip_joint" = \'up\''),
        (SHORT + "[joints]\nFL_hip_joint = 3", r"joints\.FL_hip_joint = 3"),
        (SHORT + '[motors."*"]\nno_load_speed = 5\ncorner_speed = 6', r'motors\."\*".*corner_speed 6'),
        (SHORT + "[gains", "TOML.*']'"),
    ],
)
def test_mistakes_are_named_with_file_key_and_fix(file: File, text: str, named: str):
    with pytest.raises(ModelError, match=rf"rex\.toml.*{named}"):
        file(text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ModelError, match=r"none\.toml"):
        read_robot_file(tmp_path / "none.toml")


def test_a_byte_order_mark_is_passed_over(file: File):
    assert file("\ufeff" + SHORT).name == "rex"


def test_a_model_of_the_menagerie_needs_no_file(file: File):
    assert file(SHORT.replace("rex.xml", "menagerie:unitree_go2")).model == "menagerie:unitree_go2"


def test_numbers_of_the_file_go_before_those_of_the_base(file: File):
    robot, _ = described(file(SHORT + GAINS + MOTOR + '[poses.default]\n"*_calf_joint" = -1.4\n'), ROBOT)
    hip, calf = robot.joints["FL_hip_joint"], robot.joints["FL_calf_joint"]
    assert robot.name == "rex"
    assert (hip.stiffness, hip.damping, hip.effort_limit, hip.velocity_limit) == (40, 1, 30, 20)
    assert (hip.default_position, calf.default_position) == (0, -1.4)
    assert robot.commands[0].standby[:3] == (0, 0.8, -1.4)
    assert robot.commands[0].safe == ROBOT.commands[0].safe
    assert (hip.position_min, hip.position_max) == (-1.0472, 1.0472)


def test_all_joints_arrive_together_at_the_file_s_poses(file: File):
    poses = '[poses.safe]\n"*_hip_joint" = 0\n"*_thigh_joint" = 1.2\n"*_calf_joint" = -2.5\n'
    command = described(file(SHORT + poses), ROBOT)[0].commands[0]
    assert command.safe[:3] == (0, 1.2, -2.5)
    # Hips stay, the front thighs go 0.4 and the calves 1.0 rad: the fastest at 1.5 rad/s, none slower than a tenth.
    assert command.transition_rate is not None
    assert command.transition_rate[:3] == pytest.approx((0.15, 0.6, 1.5))
    assert described(file(SHORT), ROBOT)[0].commands == ROBOT.commands


def test_every_number_that_the_base_lends_is_said(file: File):
    rex = file(SHORT + '[gains]\nstiffness = 40\n[motors."*_calf_joint"]\narmature = 0.03\n')
    text = "\n".join(described(rex, ROBOT)[1])
    assert "gains.stiffness" not in text
    assert "gains.damping of all joints is that of quadruped: 0.5 N·m·s/rad" in text
    assert "poses.default of FL_hip_joint, FR_hip_joint, RL_hip_joint, RR_hip_joint is that of quadruped: 0 rad" in text
    assert "poses.safe of FL_calf_joint, FR_calf_joint, RL_calf_joint, RR_calf_joint" in text
    assert "motors.effort_limit of FL_calf_joint, FR_calf_joint, RL_calf_joint, RR_calf_joint" in text
    assert "45.43 N·m" in text
    armature = next(line for line in text.splitlines() if "motors.armature" in line)
    assert "calf" not in armature
    assert "motors.friction of all joints" in text
    assert "control period (0.02 s)" in text


def test_nothing_is_said_of_what_the_file_gives(file: File):
    poses = "".join(f'[poses.{pose}]\n"*_hip_joint" = 0\n"*_thigh_joint" = 0.9\n"*_calf_joint" = -1.4\n'
                    for pose in ("default", "safe"))  # fmt: skip
    rex = file(SHORT + GAINS + MOTOR + poses)
    changes = described(rex, ROBOT)[1]
    assert len(changes) == 1
    assert "control period" in changes[0]


def test_motors_are_the_file_s(file: File):
    robot, _ = described(file(SHORT + MOTOR + "[motors.FL_hip_joint]\nfriction = 0.5\n"), ROBOT)
    motors = motors_of(robot)
    assert motors["RR_calf_joint"].effort_limit == 30
    assert motors["RR_calf_joint"].saturation_effort == pytest.approx(30 / (1 - 9 / 20))
    assert motors["FL_hip_joint"].friction == 0.5
    assert motors["FR_hip_joint"].friction == 0.1


def test_a_motor_that_is_half_the_base_s_must_still_be_one(file: File):
    with pytest.raises(ModelError, match=r"rex\.toml.*motors\.corner_speed.*FL_hip_joint 13\.5"):
        described(file(SHORT + '[motors."*"]\nno_load_speed = 10\n'), ROBOT)


@pytest.mark.parametrize(
    ("pattern", "named"),
    [('"*_knee"', r"gains\.stiffness: no joint of quadruped matches '\*_knee'.*FL_hip_joint"),
     ('"*_hip*" = 3\n"FL*"', r"gains\.stiffness: '\*_hip\*' and 'FL\*' both match FL_hip_joint")],
)  # fmt: skip
def test_patterns_that_match_nothing_or_twice_are_named(file: File, pattern: str, named: str):
    with pytest.raises(ModelError, match=rf"rex\.toml.*{named}"):
        described(file(SHORT + f"[gains.stiffness]\n{pattern} = 3\n"), ROBOT)


@pytest.mark.parametrize(("mass", "refused"), [(1.24, False), (0.76, False), (1.26, True), (0.74, True), (3, True)])
def test_gains_and_motors_of_a_robot_of_another_weight_are_refused(file: File, mass: float, refused: bool):
    lent = file(SHORT)
    if not refused:
        refuse_lent_strength(lent, ROBOT, mass=mass * MASS)
        return
    with pytest.raises(ModelError, match=r"rex\.toml.*gains\.stiffness, gains\.damping, motors\.effort_limit"):
        refuse_lent_strength(lent, ROBOT, mass=mass * MASS)
    with pytest.raises(ModelError, match=r"for all joints: motors\.armature$"):
        refuse_lent_strength(file(SHORT + GAINS + MOTOR.replace("armature = 0.01\n", "")), ROBOT, mass=mass * MASS)
    refuse_lent_strength(file(SHORT + GAINS + MOTOR), ROBOT, mass=mass * MASS)


def test_a_base_without_motors_lends_none(file: File):
    with pytest.raises(ModelError, match=r"so101.*PositionServos.*PDMotors"):
        described(file(SHORT.replace("quadruped", "so101")), ARM)
