"""A scene's compiled model as the plain numbers that workers build from."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from isthmus_sim.actuators import PDMotors, Rotors
from isthmus_sim.engine import UnsupportedError, substeps
from isthmus_sim.scene import Scene
from isthmus_sim.worker.robot import Body, Drive, Geom, Joint, Robot

SPACING = 3.0
"""m between worlds on flat ground: they do not touch, but one simulator has to look for it."""
_KINDS = {
    int(mujoco.mjtGeom.mjGEOM_SPHERE): "sphere",
    int(mujoco.mjtGeom.mjGEOM_CAPSULE): "capsule",
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): "cylinder",
    int(mujoco.mjtGeom.mjGEOM_BOX): "box",
}


def unsupported(scene: Scene) -> str | None:
    """Why workers cannot simulate a scene, in a sentence; None as far as its description tells."""
    robot = scene.robot
    kinds = sorted({type(a).__name__ for a in robot.actuators})
    if robot.base is None or kinds not in (["PDMotors"], ["Rotors"]):
        has = " and ".join(kinds) or "no actuators"
        of = f"{robot.name} has {has}{'' if robot.base else ' and a fixed base'}"
        return f"it simulates robots with a free base that PDMotors at joints or Rotors move, and {of}"
    unread = [q.name for q in scene.quantities if q.kind in ("sensor", "mocap_position", "camera")]
    return f"it reads no {', '.join(unread)}" if unread else None


def robot_of_scene(scene: Scene, model: mujoco.MjModel, num_envs: int, feet: list[int]) -> Robot:
    """What a worker is told: `feet` are the bodies whose contacts are read, by their numbers among the model's.

    Raises UnsupportedError for what workers cannot build: other joints, shapes, or parts that touch each other.
    """
    base = int(model.body(scene.robot.base).id)
    _refuse_what_cannot_be_built(scene, model, base)
    drives = {name: _drive(a, name) for a in scene.robot.actuators if isinstance(a, PDMotors) for name in a.joints}
    terrain = scene.terrain
    return Robot(
        name=scene.robot.name,
        num_envs=num_envs,
        bodies=[_body(scene, model, number, base) for number in range(base, model.nbody)],
        joints=list(scene.robot.joints),
        drives=[drives[name] for name in scene.robot.joints],
        rotors=sum(len(a.actuators) for a in scene.robot.actuators if isinstance(a, Rotors)),
        feet=[foot - base for foot in feet],
        timestep=float(model.opt.timestep),
        substeps=substeps(scene.robot.control_period_s, model.opt.timestep),
        gravity=float(-model.opt.gravity[2]),
        spacing=0.0 if terrain else SPACING,
        terrain=list(terrain.heights.shape) if terrain else None,
        cell=terrain.config.cell if terrain else 0.0,
    )


def _refuse_what_cannot_be_built(scene: Scene, model: mujoco.MjModel, base: int) -> None:
    def refuse(why: str) -> None:
        raise UnsupportedError(f"{scene.robot.name}: {why}; use the engine 'mujoco'")

    if base != 1:
        refuse("workers simulate a robot alone on its ground, and the model has other bodies before its base")
    undriven = {model.joint(i).name for i in range(1, model.njnt)} - set(scene.robot.joints)
    if undriven:
        refuse(f"workers simulate driven joints alone, and {', '.join(sorted(undriven))} is none")
    if (model.jnt_type[1:] != mujoco.mjtJoint.mjJNT_HINGE).any() or (model.body_jntnum[base:] > 1).any():
        refuse("workers simulate hinges, at most one a body")
    if model.qpos0[7:].any():
        refuse("workers simulate joints whose ref is 0")
    if not (model.body_mass[base:] > 0).all():
        refuse("workers simulate bodies that have a mass each, and one has none")
    own = np.flatnonzero(model.geom_bodyid >= base)
    if (model.geom_contype[own][:, None] & model.geom_conaffinity[own]).any():
        refuse("workers let robots touch the ground alone, and parts of this one touch each other")
    if has_ground(scene, model) and not any(_touches(scene, model, geom) for geom in own):
        refuse(f"nothing of it touches the geom {scene.ground!r}")


def _body(scene: Scene, model: mujoco.MjModel, number: int, base: int) -> Body:
    first, free = number == base, [1.0, 0.0, 0.0, 0.0]
    joint, own = int(model.body_jntadr[number]), np.flatnonzero(model.geom_bodyid == number)
    return Body(
        name=model.body(number).name or f"body_{number}",
        parent=int(model.body_parentid[number]) - base if not first else -1,
        position=[0.0, 0.0, 0.0] if first else model.body_pos[number].tolist(),
        orientation=free if first else model.body_quat[number].tolist(),
        mass=float(model.body_mass[number]),
        centre=model.body_ipos[number].tolist(),
        inertia=model.body_inertia[number].tolist(),
        inertia_orientation=model.body_iquat[number].tolist(),
        joint=None if first or joint < 0 else _joint(model, joint),
        geoms=[_geom(model, geom) for geom in own if _touches(scene, model, geom)],
    )


def _joint(model: mujoco.MjModel, number: int) -> Joint:
    low, high = model.jnt_range[number] if model.jnt_limited[number] else (-1e6, 1e6)
    return Joint(
        name=model.joint(number).name,
        axis=model.jnt_axis[number].tolist(),
        anchor=model.jnt_pos[number].tolist(),
        low=float(low),
        high=float(high),
        armature=float(model.dof_armature[model.jnt_dofadr[number]]),
    )


def has_ground(scene: Scene, model: mujoco.MjModel) -> bool:
    """Whether there is ground to touch: a robot that flies may have none."""
    return mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, scene.ground) >= 0


def _touches(scene: Scene, model: mujoco.MjModel, geom: Any) -> bool:
    """Whether it touches the ground."""
    if not has_ground(scene, model):
        return False
    types, takes, ground = model.geom_contype, model.geom_conaffinity, int(model.geom(scene.ground).id)
    return bool((types[geom] & takes[ground]) | (types[ground] & takes[geom]))


def _geom(model: mujoco.MjModel, number: Any) -> Geom:
    kind = _KINDS.get(int(model.geom_type[number]))
    if kind is None:
        name = model.geom(number).name or f"geom {number}"
        raise UnsupportedError(
            f"workers know spheres, capsules, cylinders and boxes, and {name} is none; use the engine 'mujoco'"
        )
    return Geom(
        kind=kind,
        size=model.geom_size[number].tolist(),
        position=model.geom_pos[number].tolist(),
        orientation=model.geom_quat[number].tolist(),
    )


def _drive(actuator: PDMotors, name: str) -> Drive:
    motor = actuator.motors[name]
    return Drive(
        effort_limit=motor.effort_limit,
        saturation=motor.saturation_effort,
        no_load_speed=motor.no_load_speed,
        friction=motor.friction,
        damping=motor.damping,
        default=actuator.joints[name].default_position,
    )
