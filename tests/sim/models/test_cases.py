"""Models rebuilt from public reports, each of a kind of fault; they stand beside the repository, if at all."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import pytest
from conftest import CASES

from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.limits import narrow_robot
from isthmus_sim.models.reading import LoadedModel
from isthmus_sim.robots.quadruped.description import SPEC
from isthmus_sim.robots.quadruped.model import load_model

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases beside the repository, in {CASES}")


def _load(name: str) -> tuple[LoadedModel, mujoco.MjModel]:
    loaded = load_model(str(CASES / name))
    return loaded, loaded.spec.compile()


@pytest.mark.parametrize("name", ["ok.urdf", "kdl_base.urdf", "trunk_under_base.urdf"])
def test_a_base_has_the_mass_that_its_maker_gave_it(name: str):
    _, model = _load(name)
    assert model.body_mass.sum() == pytest.approx(13.86)
    assert model.body_mass[1] == pytest.approx(6.9)
    assert model.body_dofnum[1] == 6


def test_narrower_limits_reach_the_robot():
    loaded, model = _load("narrow.urdf")
    robot, changes = narrow_robot(SPEC, model, loaded.velocity_limits)
    calf = robot.joints["RR_calf_joint"]
    assert (calf.position_min, calf.position_max) == (-2.66, -1.2)
    assert robot.commands[0].maximum[:3] == (0.61, 2.0, -1.2)
    assert any("RR_calf_joint" in change and "-1.2" in change for change in changes)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("mimic_knee.urdf", r"'FL_calf_joint' by 'FL_thigh_joint'.*'RR_calf_joint'.*<mimic>"),
        ("package_collision.urdf", r"package://dog_description/meshes/trunk\.stl.*ROS_PACKAGE_PATH="),
        ("gravity_off.xml", r'gravity="0 0 0".*<option gravity="0 0 -9.81"/>'),
    ],
)
def test_what_cannot_be_mended_is_named_with_the_fix(name: str, named: str):
    with pytest.raises(ModelError, match=named):
        load_model(str(CASES / name))


def test_tendons_follow_the_joints_they_are_on():
    _, model = _load("tendon_short_names.xml")
    assert [model.joint(joint).name for joint in model.wrap_objid[:2]] == ["FL_thigh_joint", "FL_calf_joint"]
