"""A user's model becomes a robot of its own: one description, and the model that engines simulate."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
import pickle
import re
from dataclasses import replace
from pathlib import Path

import mujoco
import pytest
import torch
from conftest import Dog
from dogs import MJCF, URDF

from isthmus_sim.actuators import PDMotors
from isthmus_sim.description import Stance
from isthmus_sim.engine import Resets
from isthmus_sim.engines import make_engine
from isthmus_sim.engines.agreement import check_agreement
from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.robot_file import RobotFile
from isthmus_sim.models.stances import resting_height
from isthmus_sim.models.user_robot import robot_of, user_robot
from isthmus_sim.registry import RegistryError
from isthmus_sim.robots.quadruped.description import FRONT, LEFT, MASS, MOTORS, ROBOT, STAND_HEIGHT
from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf
from isthmus_sim.scene import legged_scene

ROOTED = (re.escape('<robot name="dog">'), '<robot name="dog"><link name="root"/><joint name="r" type="fixed">'
          '<parent link="root"/><child link="base"/></joint>')  # fmt: skip


def _model(robot) -> mujoco.MjModel:
    return robot.model(False).compile()


@pytest.mark.parametrize(("text", "mass"), [(URDF, 13.0), (MJCF, 12.8)], ids=["urdf", "mjcf"])
def test_a_model_and_its_description_agree(dog: Dog, text: str, mass: float):
    robot, _ = dog(text)
    check_agreement(legged_scene(robot), _model(robot))
    assert robot.mass == pytest.approx(mass)
    assert robot.name == "dog"
    assert robot.model_source.endswith(("dog.urdf", "dog.xml"))
    assert robot.joints["FL_calf_joint"].position_min == pytest.approx(-2.7)


@pytest.mark.parametrize(
    ("text", "edits", "base"),
    [(URDF, (), "base"), (MJCF, (), "trunk"), (URDF, (ROOTED,), "base")],
    ids=["urdf", "mjcf", "root without mass"],
)
def test_a_users_robot_stands_in_an_engine_with_a_lighter_base(dog: Dog, text: str, edits, base: str):
    robot, _ = dog(text, *edits)
    assert robot.base == base
    engine = make_engine(legged_scene(robot), 2, "mujoco")
    stand = robot.stances["stand"]
    pose, payload = torch.tensor(stand.joints).repeat(2, 1), torch.tensor([[-1.0], [1.0]])
    position = torch.tensor([0.0, 0.0, stand.height]).repeat(2, 1)
    state = {"position": position, "joint_position": pose, "actuator": pose}
    engine.advance(None, Resets(ids=torch.arange(2), state=state, params={"payload": payload}))
    for _ in range(100):
        state = engine.advance({"joint_position_target": pose})
    engine.close()
    weight = 9.81 * (robot.mass + payload[:, 0])
    assert state["foot_force"].sum(1).tolist() == pytest.approx(weight.tolist(), rel=0.02)


def test_heights_are_measured_on_the_model(dog: Dog):
    own = mujoco.MjModel.from_xml_string(quadruped_mjcf())
    assert resting_height(own, dict(zip(ROBOT.joints, ROBOT.default_pose, strict=True))) == pytest.approx(STAND_HEIGHT)
    robot, _ = dog(URDF, default_pose={"*": -1.0, "*_hip_joint": 0.0, "*_thigh_joint": 0.0})
    # Straight legs but for the knees: 0.2 m down, 0.2 m at 1 rad, and the ball's 0.02 m.
    assert robot.stances["stand"].height == pytest.approx(0.2 + 0.2 * math.cos(1.0) + 0.02)
    assert robot.stances["stand"].joints == robot.default_pose


def test_poses_of_a_stopped_robot_are_its_own(dog: Dog):
    robot, _ = dog(URDF, safe_pose={"*_hip_joint": 0.0, "*_thigh_joint": 1.2, "*_calf_joint": -2.5})
    assert robot.stances["prone"].joints == robot.commands[0].safe == (0.0, 1.2, -2.5) * 4
    assert robot.stances["loaded"].joints == ROBOT.stances["loaded"].joints


def test_all_that_is_not_its_own_is_said(dog: Dog):
    text = "\n".join(dog(MJCF)[1])
    for said in ("joint 'FL_hip' is", "gains.stiffness of all joints", "motors.armature of", "the position limit of"):
        assert said in text


def test_images_have_what_is_only_seen(dog: Dog):
    look = "<visual><geometry><box size='0.5 0.1 0.1'/></geometry></visual></link>"
    robot, _ = dog(URDF, ("</link>", look))
    assert robot.model is not None
    assert robot.model(True).compile().ngeom == robot.model(False).compile().ngeom + 1


def test_a_model_can_go_to_another_process(dog: Dog):
    robot, _ = dog(MJCF)
    assert pickle.loads(pickle.dumps(robot)).mass == robot.mass


@pytest.mark.parametrize("link", ["hip", "thigh", "calf"])
def test_a_joint_that_turns_the_other_way_is_seen(dog: Dog, link: str):
    turned = (rf'(RL_{link}_joint.*?<axis xyz=)"(\d) (\d) 0"', r'\1"-\2 -\3 0"')
    with pytest.raises(ModelError, match=r"dog\.urdf.*elsewhere than quadruped's: RL\."):
        dog(URDF, turned)


def test_legs_on_the_other_side_are_seen(dog: Dog):
    swapped = {f"{leg}_{link}_joint": f"{other}_{link}"
               for leg, other in (("FL", "FR"), ("FR", "FL")) for link in ("hip", "thigh", "calf")}  # fmt: skip
    assert FRONT["FL"] * LEFT["FL"] == -FRONT["FR"] * LEFT["FR"]
    with pytest.raises(ModelError, match="quadruped's: FL, FR"):
        dog(MJCF, joints=swapped)


def test_limits_that_forbid_the_poses_are_named(dog: Dog):
    narrow = (r'(FL_thigh_joint.*?upper=)"4.0"', r'\1"0.5"')
    with pytest.raises(ModelError, match=r"dog\.urdf.*default pose: FL_thigh_joint 0.8 outside \[-1.5, 0.5\]"):
        dog(URDF, narrow)
    robot, _ = dog(URDF, narrow, default_pose={"FL_thigh_joint": 0.4}, safe_pose={"FL_thigh_joint": 0.4})
    assert robot.joints["FL_thigh_joint"].position_max == 0.5


def test_a_heavy_model_needs_gains_and_motors_of_its_own(dog: Dog):
    heavy = ('mass="6"', 'mass="40"')
    with pytest.raises(ModelError, match=r"46\.8 kg and quadruped 15\.02 kg.*gains\.stiffness"):
        dog(MJCF, heavy)
    motors = {
        "effort_limit": 80,
        "no_load_speed": 30,
        "corner_speed": 13,
        "armature": 0.01,
        "friction": 0.2,
        "damping": 0.01,
    }
    robot, _ = dog(MJCF, heavy, stiffness={"*": 90}, damping={"*": 2}, motors={k: {"*": v} for k, v in motors.items()})
    assert robot.mass == pytest.approx(46.8)
    assert robot.mass > 3 * MASS
    assert robot.joints["FL_hip_joint"].effort_limit == 80


def test_names_of_what_a_robot_has_not_are_refused(dog: Dog, tmp_path: Path):
    file = RobotFile(path=tmp_path / "x.toml", name="x", base="x", model="x.xml")
    bolted = replace(ROBOT, base=None, legs={})
    with pytest.raises(ModelError, match=r"x\.toml.*\[feet\]"):
        user_robot(replace(file, feet={"FL": "toe"}), bolted)
    with pytest.raises(ModelError, match=r"x\.toml.*base_link"):
        user_robot(replace(file, base_link="trunk"), bolted)


def test_a_bolted_robot_is_described_too(tmp_path: Path):
    arm = tmp_path / "arm.xml"
    arm.write_text(
        '<mujoco><worldbody><body name="upper"><joint name="j" axis="0 1 0" range="-57 57"/>'
        '<geom type="capsule" size="0.02" fromto="0 0 0 0 0 0.3" mass="2"/></body></worldbody></mujoco>'
    )
    name = "FL_hip_joint"
    base = replace(
        ROBOT, base=None, legs={}, mass=2.0, stances={"home": Stance(joints=(0.0,))}, variations=(), signals=(),
        joints={name: ROBOT.joints[name]}, commands=(), mirror={},
        actuators=(PDMotors(command="x", joints={name: ROBOT.joints[name]}, motors={name: MOTORS["hip"]}),),
    )  # fmt: skip
    file = RobotFile(path=tmp_path / "arm.toml", name="arm", base="x", model=str(arm), joints={name: "j"})
    robot, _ = user_robot(file, base)
    assert (robot.base, robot.mass, robot.stances["home"].height) == (None, pytest.approx(2), 0)
    assert robot.joints[name].position_max == pytest.approx(math.radians(57))
    assert _model(robot).nq == 1


def test_a_person_may_name_a_robot_a_robot_file_or_a_model(tmp_path: Path):
    (tmp_path / "rex 2.xml").write_text(MJCF)
    (tmp_path / "rex.toml").write_text('name = "rex"\nbase = "quadruped"\nmodel = "rex 2.xml"\n')
    assert robot_of("quadruped") == (ROBOT, ())
    assert robot_of(str(tmp_path / "rex.toml"))[0].name == "rex"
    assert robot_of(str(tmp_path / "rex 2.xml"), "quadruped")[0].name == "rex_2"
    with pytest.raises(ModelError, match=r"robot file.*name, base.*model = "):
        robot_of(str(tmp_path / "rex 2.xml"))
    with pytest.raises(RegistryError, match="quadruped"):
        robot_of("quadrupet")
    (tmp_path / "rex.urdf.xacro").write_text("<robot/>")
    with pytest.raises(ModelError, match=r"no model \(\.urdf, .*Write: xacro rex\.urdf\.xacro > rex\.urdf"):
        robot_of(str(tmp_path / "rex.urdf.xacro"))
    (tmp_path / "rex.toml").write_text('name = "rex"\nbase = "cat"\nmodel = "rex 2.xml"\n')
    with pytest.raises(RegistryError, match=r"'cat'.*quadruped"):
        robot_of(str(tmp_path / "rex.toml"))


def test_the_name_of_a_registered_robot_is_refused(tmp_path: Path):
    (tmp_path / "crazyflie.xml").write_text(MJCF)
    (tmp_path / "rex.toml").write_text('name = "crazyflie"\nbase = "quadruped"\nmodel = "crazyflie.xml"\n')
    with pytest.raises(ModelError, match=r"rex\.toml: name = 'crazyflie' is a robot of isthmus\..*another.*biped"):
        robot_of(str(tmp_path / "rex.toml"))
    assert robot_of(str(tmp_path / "crazyflie.xml"), "quadruped")[0].name == "robot_crazyflie"
