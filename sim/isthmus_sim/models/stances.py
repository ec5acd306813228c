"""Heights at which a robot rests on flat ground, measured on its model."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

from collections.abc import Mapping

import mujoco

from isthmus_sim.description import RobotDescription, Stance
from isthmus_sim.models.legged import GROUND
from isthmus_sim.models.limits import is_positions

_HIGH = 10.0  # m above the ground, from where is measured


def resting_stances(base: RobotDescription, robot: RobotDescription, model: mujoco.MjModel) -> dict[str, Stance]:
    """The stances of `base` for a `robot` on another `model`: in its own poses, and as high as these carry it.

    A stance that is the base's default pose is the robot's default pose, one that is where a stopped base goes is where
    the robot goes; others stay, within the robot's limits.
    """
    poses = {base.default_pose: robot.default_pose}
    for before, after in zip(base.commands, robot.commands, strict=True):
        if is_positions(before, base.joints):
            poses[before.safe] = after.safe
    stances = {}
    for name, stance in base.stances.items():
        joints = poses.get(stance.joints) or _within(robot, stance.joints)
        height = resting_height(model, dict(zip(robot.joints, joints, strict=True))) if base.base else 0.0
        stances[name] = Stance(joints=joints, height=height)
    return stances


def _within(robot: RobotDescription, angles: tuple[float, ...]) -> tuple[float, ...]:
    limits = robot.joints.values()
    return tuple(min(max(angle, j.position_min), j.position_max) for angle, j in zip(angles, limits, strict=True))


def resting_height(model: mujoco.MjModel, pose: Mapping[str, float]) -> float:
    """Height of the base, m, at which a level robot with these joint angles (rad) just touches the ground."""
    data = mujoco.MjData(model)
    data.qpos[:7] = (0, 0, _HIGH, 1, 0, 0, 0)
    for joint, angle in pose.items():
        data.qpos[model.joint(joint).qposadr[0]] = angle
    mujoco.mj_kinematics(model, data)
    ground = model.geom(GROUND).id
    touching = [geom for geom in range(model.ngeom) if model.geom_bodyid[geom] and model.geom_contype[geom]]
    return _HIGH - min(mujoco.mj_geomDistance(model, data, geom, ground, 2 * _HIGH, None) for geom in touching)
