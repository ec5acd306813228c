"""What a file switches off is refused, with the line to change; what it sets otherwise is said."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import itertools
import re
from pathlib import Path

import mujoco
import pytest
from conftest import Load
from dogs import MJCF, URDF

from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.jointed import load_jointed
from isthmus_sim.robots.quadruped.description import MOTORS

_TOP = "<mujoco>"
_END = "</mujoco>"


@pytest.mark.parametrize(
    "flag",
    ["constraint", "equality", "frictionloss", "limit", "contact", "spring", "damper", "gravity", "clampctrl",
     "actuation", "sensor"],
)  # fmt: skip
def test_flags_that_take_something_away_are_refused(load: Load, flag: str):
    line = f'<option><flag {flag}="disable"/></option>'
    with pytest.raises(ModelError, match=re.escape(line)):
        load(MJCF, (_TOP, _TOP + line))


def test_flags_that_only_change_how_it_is_computed_pass(load: Load):
    load(MJCF, (_TOP, _TOP + '<option><flag warmstart="disable" eulerdamp="disable" island="disable"/></option>'))


@pytest.mark.parametrize(
    ("where", "added", "named"),
    [
        (_TOP, '<option gravity="0 0 0"/>', r"0 0 -9\.81"),
        (_TOP, '<option gravity="0 0 9.81"/>', r"0 0 -9\.81"),
        (_TOP, '<option gravity="0 0 inf"/>', r"0 0 -9\.81"),
        (_TOP, '<option actuatorgroupdisable="0"/>', "actuatorgroupdisable"),
        (_TOP, '<option><flag override="enable"/></option>', "override"),
        (_END, '<equality><weld body1="trunk"/></equality>', "'trunk' and 'world'"),
        (_END, '<equality><connect body1="world" body2="RL3" anchor="0 0 0"/></equality>', "'RL3' and 'world'"),
        (_END, '<contact><exclude body1="world" body2="RL3"/></contact>', "'RL3'"),
    ],
)
def test_what_holds_the_robot_up_is_refused(load: Load, where: str, added: str, named: str):
    added = added + where if where == _END else where + added
    with pytest.raises(ModelError, match=named):
        load(MJCF, (where, added))


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ('<body name="box" pos="3 0 1"><freejoint/><geom size="0.1"/></body>', "'box'"),
        ('<body name="table" pos="3 0 1"><body><geom size="0.1" contype="0"/></body></body>', "'table'"),
        ('<body pos="3 0 1"><geom size="0.1"/></body>', "without a name"),
        ('<geom name="step" type="box" size="1 1 0.2"/>', "'step'"),
    ],
)
def test_what_is_no_part_of_a_robot_that_walks_is_named(load: Load, added: str, named: str):
    """Its mass would count as the robot's, and stances would rest on it."""
    with pytest.raises(ModelError, match=f"no part of the robot: .*{named}"):
        load(MJCF, ("</worldbody>", f"{added}</worldbody>"))


def test_what_only_looks_on_may_stand_beside_a_robot(load: Load):
    beside = '<body name="tripod"><camera name="view"/></body><geom size="9" contype="0" conaffinity="0"/>'
    assert load(MJCF, ("</worldbody>", f"{beside}</worldbody>")).spec.compile().ncam == 1


def test_springs_are_told(load: Load):
    spring = '<tendon><fixed name="band" stiffness="70"><joint joint="FR_calf" coef="1"/></fixed></tendon>'
    changes = load(MJCF, ('name="FL_hip"', 'name="FL_hip" stiffness="90"'), (_END, spring + _END)).changes
    assert [change for change in changes if "'FL_hip_joint' 90" in change and "'band' 70" in change]


def test_bodies_that_do_not_weigh_are_refused(load: Load):
    with pytest.raises(ModelError, match=r"gravcomp.*'trunk'"):
        load(MJCF, ('body name="trunk"', 'body name="trunk" gravcomp="1"'))
    with pytest.raises(ModelError, match=r"mocap.*'trunk'"):
        load(MJCF, ('body name="trunk"', 'body name="trunk" mocap="true"'), ("<freejoint/>", ""))


def test_a_urdf_with_settings_for_mujoco_is_read_as_closely(load: Load):
    with pytest.raises(ModelError, match=r"0 0 -9\.81"):
        load(URDF, ("</robot>", '<mujoco><option gravity="0 0 0"/></mujoco></robot>'))
    mass = (
        load(URDF, ("</robot>", '<mujoco><compiler inertiafromgeom="true"/></mujoco></robot>')).spec.compile().body_mass
    )
    assert mass.sum() == pytest.approx(13.0)


def test_a_robot_that_touches_nothing_is_refused(load: Load):
    with pytest.raises(ModelError, match="contype"):
        load(MJCF, (_TOP, _TOP + '<default><geom contype="0" conaffinity="0"/></default>'))
    with pytest.raises(ModelError, match="<collision>"):
        load(re.sub("<collision>.*?</collision>", "", URDF))


def test_feet_that_touch_nothing_are_named(load: Load):
    silent = re.sub('(<geom type="sphere" size="0.0[23]" mass="0.1")', r'\1 contype="0" conaffinity="0"', MJCF)
    with pytest.raises(ModelError, match="no feet: FL, FR, RL, RR"):
        load(silent)


def test_shapes_that_touch_the_ground_in_pairs_touch_it_by_themselves(load: Load):
    toes = itertools.count()
    silent = re.sub('<geom type="sphere" size="0.02"', lambda ball: f'<geom name="toe{next(toes)}"{ball[0][5:]}', MJCF)
    silent = silent.replace(_TOP, _TOP + '<default><geom contype="0" conaffinity="0"/></default>')
    pairs = "".join(f'<pair geom1="toe{toe}" geom2="floor" friction="0.1 0.1 0 0 0"/>' for toe in range(4))
    loaded = load(silent.replace(_END, f"<contact>{pairs}</contact>{_END}"))
    model = loaded.spec.compile()
    assert model.npair == 0
    assert [int(model.geom(f"toe{toe}").contype[0]) for toe in range(4)] == [1, 1, 1, 1]
    assert any("4 contact pairs" in change for change in loaded.changes)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ('gravity="0 0 -1.62"', "-1.62"), ('density="1000"', "1000 kg/m³"), ('wind="3 0 0"', "3 0 0 m/s"),
        ('timestep="0.5"', "0.5 s"),
    ],
)  # fmt: skip
def test_what_changes_what_the_robot_feels_is_said(load: Load, option: str, said: str):
    usual = load(MJCF).changes
    changes = load(MJCF, (_TOP, f"{_TOP}<option {option}/>")).changes
    assert [said in change for change in changes if change not in usual] == [True]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('mass="6"', 'mass="NaN"', '<geom mass="NaN">'),
        ('body name="FL2" pos="0 0.08 0"', 'body name="FL2" pos="0 nan 0"', "FL2"),
        ('body name="FL2" pos="0 0.08 0"', 'body name="FL2" pos="0 inf 0"', "'FL2'"),
    ],
)
def test_numbers_that_are_none_are_named(load: Load, old: str, new: str, named: str):
    with pytest.raises(ModelError, match=named):
        load(MJCF, (re.escape(old), new))


def test_includes_are_read(load: Load, tmp_path: Path):
    (tmp_path / "arena.xml").write_text('<mujoco><option gravity="0 0 0"/></mujoco>')
    with pytest.raises(ModelError, match=r"0 0 -9\.81"):
        load(MJCF, (_TOP, _TOP + '<include file="arena.xml"/>'))
    (tmp_path / "arena.xml").write_text(
        '<mujoco><worldbody><geom name="box" size="1" mass="nan"/></worldbody></mujoco>'
    )
    with pytest.raises(ModelError, match=r'arena\.xml: <geom name="box" mass="nan">'):
        load(MJCF, (_TOP, _TOP + '<include file="arena.xml"/>'))
    with pytest.raises(ModelError, match=r"missing\.xml"):
        load(MJCF, (_TOP, _TOP + '<include file="missing.xml"/>'))


def test_a_bolted_arm_may_have_its_weight_compensated(tmp_path: Path):
    (tmp_path / "arm.xml").write_text(
        '<mujoco><worldbody><body name="arm" gravcomp="1"><joint name="elbow" range="-90 90"/><geom size="1"/></body>'
        "</worldbody></mujoco>"
    )
    loaded = load_jointed(str(tmp_path / "arm.xml"), {"elbow": MOTORS["hip"]})
    assert any("'arm'" in change for change in loaded.changes)
    assert loaded.spec.joint("elbow").type == mujoco.mjtJoint.mjJNT_HINGE
