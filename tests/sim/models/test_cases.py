"""Models rebuilt from public reports, each of a kind of fault; they stand beside the repository, if at all."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import pytest
from conftest import CASES

from isthmus_sim.description import RobotDescription
from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.user_robot import robot_of

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases beside the repository, in {CASES}")


def _robot(name: str) -> tuple[RobotDescription, mujoco.MjModel]:
    robot, _ = robot_of(str(CASES / name), "quadruped")
    assert robot.model is not None
    return robot, robot.model(False).compile()


@pytest.mark.parametrize("name", ["ok.urdf", "kdl_base.urdf", "trunk_under_base.urdf"])
def test_a_base_has_the_mass_that_its_maker_gave_it(name: str):
    robot, model = _robot(name)
    assert model.body_mass.sum() == robot.mass == pytest.approx(13.86)
    assert model.body(robot.base).mass == pytest.approx(6.9)
    assert model.body(robot.base).dofnum == 6


def test_narrower_limits_reach_the_robot():
    robot, changes = robot_of(str(CASES / "narrow.urdf"), "quadruped")
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
        robot_of(str(CASES / name), "quadruped")


def test_tendons_follow_the_joints_they_are_on():
    _, model = _robot("tendon_short_names.xml")
    assert [model.joint(joint).name for joint in model.wrap_objid[:2]] == ["FL_thigh_joint", "FL_calf_joint"]
