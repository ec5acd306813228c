"""Any jointed robot's model is found by its joints' names, whatever the model calls them."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from conftest import Load
from dogs import MJCF, URDF

from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.jointed import load_jointed
from isthmus_sim.models.reading import LoadedModel
from isthmus_sim.robots.quadruped.description import Motor

MOTOR = Motor(effort_limit=5, no_load_speed=10, corner_speed=5, armature=0.02, friction=0.3, damping=0.04)
ARM = """<mujoco><compiler angle="radian"/><worldbody><body name="upper"><joint name="j1" axis="0 1 0" range="-2 2"/>
  <geom type="capsule" size="0.02" fromto="0 0 0 0 0 0.3" mass="1"/>
  <body name="lower" pos="0 0 0.3"><joint name="j2" axis="0 1 0" range="-2.5 2.5"/>
    <geom type="capsule" size="0.02" fromto="0 0 0 0 0 0.3" mass="0.5"/>
    <body name="finger" pos="0 0 0.3"><joint name="grip" type="slide" range="0 0.05"/><geom size="0.01" mass="0.05"/>
  </body></body></body></worldbody></mujoco>"""
END = "</mujoco>"
Arm = Callable[..., LoadedModel]


@pytest.fixture
def arm(write: Callable[..., Path]) -> Arm:
    """Edits, joints that are driven and how to load them -> the arm."""

    def arm(*edits: tuple[str, str], driven: tuple[str, ...] = ("j1", "j2"), text: str = ARM, **options) -> LoadedModel:
        return load_jointed(str(write(text, *edits)), dict.fromkeys(driven, MOTOR), **options)

    return arm


# Fixed base, sliding joints, drives


def test_an_arm_stays_bolted_and_gets_its_motors(arm: Arm):
    loaded = arm()
    model = loaded.spec.compile()
    assert model.nq == 3
    assert [model.actuator(i).name for i in range(model.nu)] == ["j1", "j2"]
    assert model.dof_armature[:2] == pytest.approx(0.02)
    assert model.dof_frictionloss[:2] == pytest.approx(0.3)
    assert model.dof_damping[:2] == pytest.approx(0.04)
    assert loaded.changes == ("joint 'grip' has no motor and hangs loose",)


def test_a_sliding_joint_is_driven_where_the_robot_has_one(arm: Arm):
    with pytest.raises(ModelError, match="grip does not turn"):
        arm(driven=("j1", "grip"))
    with pytest.raises(ModelError, match="j1 does not slide"):
        arm(sliding=("j1",))
    assert arm(driven=("j1", "j2", "grip"), sliding=("grip",)).spec.compile().nu == 3


def test_the_torque_that_a_file_allows_is_kept(arm: Arm):
    actuators = (
        '<actuator><motor joint="j1" gear="3" forcerange="-2 2"/><position joint="j2" forcerange="-9 9"/></actuator>'
    )
    limited = ('axis="0 1 0" range="-2.5', 'axis="0 1 0" actuatorfrcrange="-4 4" range="-2.5')
    model = arm((END, actuators + END), limited).spec.compile()
    assert np.abs(model.jnt_actfrcrange[:2]).max(axis=1) == pytest.approx([6, 4])
    assert not model.jnt_actfrclimited.any()


def test_what_refers_to_what_is_replaced_goes(arm: Arm):
    more = (
        '<actuator><motor name="m" joint="j1"/></actuator>'
        '<sensor><actuatorfrc actuator="m"/><jointpos joint="j1"/></sensor>'
        '<custom><tuple name="t"><element objtype="actuator" objname="m"/></tuple></custom>'
        '<keyframe><key qpos="0 0 0" ctrl="1"/></keyframe>'
    )
    loaded = arm((END, more + END), joints={"shoulder": "j1"}, driven=("shoulder", "j2"))
    assert loaded.spec.compile().nsensor == 0
    assert "the file's actuators, sensors, key frames, tuples are left out: the robot has its own" in loaded.changes


# Names


def test_joints_are_mapped_and_references_follow(arm: Arm):
    more = (
        '<tendon><fixed name="t" stiffness="7" range="-3 3"><joint joint="j1" coef="1"/><joint joint="j2" coef="-0.5"/>'
        '</fixed><fixed name="u"><joint joint="grip" coef="2"/></fixed></tendon><equality>'
        '<joint joint1="grip" joint2="j2" polycoef="0 0.01 0 0 0"/><tendon tendon1="t" active="false"/></equality>'
    )
    loaded = arm((END, more + END), joints={"shoulder": "j1", "elbow": "j2"}, driven=("shoulder", "elbow"))
    model = loaded.spec.compile()
    wraps = {model.joint(joint).name: coef for joint, coef in zip(model.wrap_objid, model.wrap_prm, strict=True)}
    assert wraps == {"shoulder": 1, "elbow": -0.5, "grip": 2}
    assert model.tendon_stiffness[model.tendon("t").id] == pytest.approx(7)
    assert model.tendon_range[model.tendon("t").id] == pytest.approx([-3, 3])
    assert model.joint(model.eq_obj2id[0]).name == "elbow"
    assert "joint 'j1' is 'shoulder'" in loaded.changes
    assert "joint 'grip' follows 'elbow'" in loaded.changes


def test_a_tendon_on_no_joint_is_named(arm: Arm):
    tendon = '<tendon><fixed name="t"><joint joint="j3" coef="1"/></fixed></tendon>'
    with pytest.raises(ModelError, match="'t'"):
        arm((END, tendon + END), joints={"shoulder": "j1"}, driven=("shoulder",))


def test_names_may_change_places(arm: Arm):
    tie = '<equality><joint joint1="grip" joint2="j2"/></equality>'
    model = arm((END, tie + END), joints={"j1": "j2", "j2": "j1"}).spec.compile()
    assert model.body(model.joint("j1").bodyid[0]).name == "lower"
    assert model.body(model.joint("j2").bodyid[0]).name == "upper"
    assert model.joint(model.eq_obj2id[0]).name == "j1"


@pytest.mark.parametrize(
    ("joints", "named"),
    [
        ({"FL_hip_joint": "left"}, "There is no left for FL_hip_joint"),
        ({"FL_hip": "FL_hip"}, "the robot lacks: FL_hip"),
        ({"FL_hip_joint": "FR_hip"}, "several of the robot's: FR_hip"),
    ],
)
def test_mappings_that_are_wrong_are_named(load: Load, joints: dict[str, str], named: str):
    with pytest.raises(ModelError, match=named):
        load(MJCF, joints=joints)


def test_missing_joints_come_with_the_lines_to_write(load: Load):
    with pytest.raises(ModelError) as error:
        load(MJCF, ('name="FL_hip"', 'name="front_left_hip"'), ('name="FL_calf"', 'name="front_left_calf"'))
    assert "FL_hip_joint, FL_calf_joint" in str(error.value)
    assert "[joints]" in str(error.value)
    assert 'FL_hip_joint = "front_left_hip"' in str(error.value)
    assert 'FL_calf_joint = "front_left_calf"' in str(error.value)


def test_a_name_that_another_joint_has_is_not_taken(arm: Arm):
    with pytest.raises(ModelError, match="'grip'"):
        arm(joints={"grip": "j1"}, driven=("grip", "j2"))


def test_a_driven_joint_that_follows_another_is_named(arm: Arm):
    tie = '<equality><joint joint1="j2" joint2="j1"/></equality>'
    with pytest.raises(ModelError, match="'j2' by 'j1'"):
        arm((END, tie + END))
    arm((END, tie.replace("<joint", '<joint active="false"') + END))
    arm((END, tie + END), driven=("j1",))


@pytest.mark.parametrize(
    ("joints", "refused"), [(("FL_hip",), True), (("FL_hip", "FR_hip"), True), (("FL_hip", "tail"), False)]
)
def test_driven_joints_that_a_tendon_ties_together_are_named(load: Load, joints: tuple[str, ...], refused: bool):
    wraps = "".join(f'<joint joint="{joint}" coef="1"/>' for joint in joints)
    tie = f'<tendon><fixed name="band">{wraps}</fixed></tendon><equality><tendon tendon1="band"/></equality></mujoco>'
    tail = '<freejoint/><body><joint name="tail"/><geom size="0.01"/></body>'
    with pytest.raises(ModelError, match=r"'FL_hip'.* by the tendon 'band'") if refused else nullcontext():
        load(MJCF, ("<freejoint/>", tail), ("</mujoco>", tie))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('xyz="0 0 -0.2"', 'xyz="0 0 -200"', r"millimetres: 'RR_calf' 200 m"),
        ('sphere radius="0.02"', 'sphere radius="22"', r"millimetres: a shape of 'RR_foot' 22 m"),
        ('ixx="0.01" iyy="0.01" izz="0.01"', 'ixx="1e4" iyy="1e4" izz="1e4"', r"inertias.*'base', on average 40\.8"),
    ],
)
def test_lengths_and_inertias_in_other_units_are_seen(load: Load, old: str, new: str, named: str):
    with pytest.raises(ModelError, match=named):
        load(URDF, (old, new))


def test_mimic_on_a_driven_joint_is_named(load: Load):
    knee = (r"(RL_calf_joint.*?)</joint>", r'\1<mimic joint="RL_thigh_joint" multiplier="-2"/></joint>')
    with pytest.raises(ModelError, match="'RL_calf_joint' by 'RL_thigh_joint'"):
        load(URDF, knee)


# Units


def test_degrees_in_a_urdf_are_seen(load: Load):
    with pytest.raises(ModelError, match=r"RR_hip_joint 60 rad.*degree"):
        load(URDF, ('lower="-1.0" upper="1.0"', 'lower="-60" upper="60"'))


def test_a_unit_that_is_not_declared_is_seen(arm: Arm):
    with pytest.raises(ModelError, match=re.escape('<compiler angle="radian"/>')):
        arm(('<compiler angle="radian"/>', ""))
    with pytest.raises(ModelError, match=re.escape('<compiler angle="degree"/>')):
        arm(("-2 2", "-120 120"))


def test_a_driven_joint_that_turns_on_and_on_needs_limits(load: Load):
    with pytest.raises(ModelError, match="without limits: RR_hip_joint"):
        load(URDF, (r'(RR_hip_joint" type=)"revolute"', r'\1"continuous"'), ('lower="-1.0" upper="1.0" ', ""))


# The base


def test_a_base_without_mass_carries_what_is_welded_to_it(load: Load):
    welded = MJCF.replace(
        '<geom type="box" size="0.2 0.05 0.05" mass="6"/>',
        '<body name="shell" pos="0.1 0 0"><geom type="box" size="0.2 0.05 0.05" mass="6"/></body>',
    )
    assert welded != MJCF
    loaded, usual = load(welded), load(MJCF).spec.compile()
    model = loaded.spec.compile()
    assert model.body_mass[1] == pytest.approx(6)
    assert model.body_ipos[1] == pytest.approx([0.1, 0, 0])
    assert np.sort(model.body_inertia[1]) == pytest.approx(np.sort(usual.body_inertia[1]))
    assert model.body_mass.sum() == pytest.approx(usual.body_mass.sum())
    assert any("'trunk'" in change and "'shell'" in change for change in loaded.changes)


def test_a_base_that_is_named_must_be_the_root(load: Load):
    assert load(MJCF, base_link="trunk").spec.compile().nq == 19
    with pytest.raises(ModelError, match="'trunk', not 'FL1'"):
        load(MJCF, base_link="FL1")


def test_a_base_needs_no_name(load: Load):
    model = load(MJCF, ('<body name="trunk"', "<body")).spec.compile()
    assert model.body_dofnum[1] == 6


# Feet


def test_feet_of_other_names_are_mapped(load: Load):
    box = (r'(FR_foot".*?)<sphere radius="0.02"/>', r'\1<box size="0.08 0.04 0.02"/>')
    with pytest.raises(ModelError, match='FR = "FR_foot"'):
        load(URDF, box)
    model = load(URDF, box, feet={"FR": "FR_foot"}).spec.compile()
    assert model.body(model.site("FR").bodyid[0]).name == "FR_foot"
    assert model.site("FR").size[0] > np.linalg.norm([0.04, 0.02, 0.01])
    with pytest.raises(ModelError, match="'nothing' for FR"):
        load(URDF, feet={"FR": "nothing"})
    with pytest.raises(ModelError, match="no feet called X"):
        load(URDF, feet={"X": "FR_foot"})


def test_a_model_that_no_robot_fits_says_so_by_name(load: Load):
    with pytest.raises(ModelError, match=r"dog\.xml.*j1, j2, grip"):
        load(ARM)
