"""Where the quadruped's model comes from: this project's own, MuJoCo Menagerie's, or a user's MJCF or URDF.

Whatever the source, the result is driven through the same `RobotSpec`: joints by name, its gains and limits, and the
motors of `robots.quadruped`.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from isthmus_sim.robots.quadruped.description import (
    DEFAULT_POSE,
    FEET,
    FOOT_RADIUS,
    FRONT,
    JOINTS,
    LEFT,
    LEGS,
    LINKS,
    MOTORS,
    PRONE_POSE,
)
from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf

OWN = "own"
_MENAGERIE = "menagerie:"
_SUFFIXES = (".xml", ".mjcf", ".urdf")


class ModelError(ValueError):
    """A model that cannot be used; the message names what is wrong with it and how to put it right."""


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model, ready for an engine, and what had to be done to it, a sentence each.

    It has a free base, first of all joints; joints and torque motors by `JOINTS`; a site for each of `FEET`, whose
    volume holds the foot's contacts; and a geom "ground", whose friction counts.
    """

    spec: mujoco.MjSpec
    changes: tuple[str, ...] = ()


def load_model(source: str = OWN, *, scene: bool = False, timestep: float = 0.005) -> LoadedModel:
    """The quadruped's model.

    Joints are found by their names in `JOINTS`, or by these without the ending "_joint". Armature, friction and
    damping of the joints become those of `MOTORS`; actuators, sensors and key frames are replaced; links no longer
    collide with each other. A foot is the site or geom named as in `FEET`, or else the lowest ball of the calf.

    Args:
        source: "own"; "menagerie:NAME", as "menagerie:unitree_go2"; or the path of an MJCF or URDF file.
        scene: Keep, or for "own" add, what only pictures need.
        timestep: s.

    Raises:
        ModelError: no such source; or the model lacks joints, limits, masses or feet: the message lists all of them.
    """
    if source == OWN:
        return LoadedModel(spec=mujoco.MjSpec.from_string(quadruped_mjcf(scene=scene, timestep=timestep)))
    spec = _read(source)
    spec.option.timestep = timestep
    # Welded links stay bodies of their own: among them are the feet, and in a URDF even the base.
    spec.compiler.fusestatic = False
    spec.compiler.discardvisual = not scene
    try:
        return LoadedModel(spec=spec, changes=tuple(_adapt(spec)))
    except ModelError as error:
        raise ModelError(f"model {source}: {error}") from error


def _read(source: str) -> mujoco.MjSpec:
    if source.startswith(_MENAGERIE):
        return _from_menagerie(source.removeprefix(_MENAGERIE))
    path = Path(source)
    if path.suffix.lower() not in _SUFFIXES or not path.is_file():
        raise ModelError(
            f"no model {source!r}: it is 'own', '{_MENAGERIE}NAME', or the path of an existing file that ends in "
            f"{', '.join(_SUFFIXES)}"
        )
    try:
        return mujoco.MjSpec.from_file(str(path))
    except ValueError as error:
        raise ModelError(f"model {source}: {error}") from error


def _from_menagerie(name: str) -> mujoco.MjSpec:
    try:
        import mujoco_menagerie  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ModelError(f"{_MENAGERIE}{name} needs a package: pip install mujoco-menagerie") from error
    try:
        robot = mujoco_menagerie.get(name)
        return robot.spec(robot.default_model)
    except mujoco_menagerie.MenagerieError as error:
        raise ModelError(
            f"{_MENAGERIE}{name}: {error}. It is downloaded once; without a network, set MENAGERIE_ROOT to a checkout "
            "of github.com/google-deepmind/mujoco_menagerie"
        ) from error


def _adapt(spec: mujoco.MjSpec) -> list[str]:
    """Make the model fit `LoadedModel`; returns what was done."""
    joints, changes = _named_joints(spec)
    changes += _free_base(spec, joints)
    _check_masses(spec)
    _replace_drives(spec, joints)
    changes += _add_ground(spec)
    model = _compile(spec)
    _check_limits(model)
    _add_feet(spec, model)
    _check_legs(_compile(spec))
    others = sorted({joint.name for joint in spec.joints} - set(JOINTS) - {spec.joints[0].name})
    return changes + [f"joint {name!r} has no motor and hangs loose" for name in others]


def _named_joints(spec: mujoco.MjSpec) -> tuple[dict[str, mujoco.MjsJoint], list[str]]:
    """The joints by the names of `JOINTS`, which they bear from now on."""
    found = {name: spec.joint(name) or spec.joint(name.removesuffix("_joint")) for name in JOINTS}
    missing = [name for name, joint in found.items() if joint is None]
    if missing:
        has = ", ".join(joint.name for joint in spec.joints if joint.name) or "none"
        raise ModelError(f"missing joints: {', '.join(missing)}. It has: {has}. Rename the model's joints")
    wrong = [name for name, joint in found.items() if joint.type != mujoco.mjtJoint.mjJNT_HINGE]
    if wrong:
        raise ModelError(f"not hinges: {', '.join(wrong)}. Legs have one revolute joint for each of these")
    renamed = [f"joint {joint.name!r} is {name!r}" for name, joint in found.items() if joint.name != name]
    for name, joint in found.items():
        joint.name = name
    return found, renamed


def _free_base(spec: mujoco.MjSpec, joints: dict[str, mujoco.MjsJoint]) -> list[str]:
    roots = {_root(joint.parent).name for joint in joints.values()}
    if len(roots) > 1:
        raise ModelError(f"the legs hang on different bodies: {', '.join(sorted(roots))}. They need one base")
    base = spec.body(roots.pop())
    first = spec.bodies[1]  # after the world
    if first.name != base.name:
        raise ModelError(f"body {first.name!r} comes before the base {base.name!r}. Put the robot first")
    if any(joint.type == mujoco.mjtJoint.mjJNT_FREE for joint in base.joints):
        return []
    if base.joints:
        raise ModelError(f"the base {base.name!r} moves on {base.joints[0].name!r}. Give it a free joint, or none")
    base.add_freejoint(name="base")
    return [f"the base {base.name!r} got a free joint"]


def _root(body: mujoco.MjsBody) -> mujoco.MjsBody:
    """The body below the world that carries `body`."""
    while body.parent.name != "world":
        body = body.parent
    return body


def _check_masses(spec: mujoco.MjSpec) -> None:
    wrong = [f"{body.name!r} {body.mass:g} kg" for body in spec.bodies if body.mass < 0]
    wrong += [f"{geom.parent.name!r}, by a geom" for geom in spec.geoms if geom.mass < 0 or geom.density < 0]
    wrong += [f"{body.name!r} 0 kg" for body in spec.bodies if body.joints and not _has_mass(body)]
    if wrong:
        raise ModelError(f"bodies without a positive mass: {'; '.join(wrong)}. Correct their inertial")


def _has_mass(body: mujoco.MjsBody) -> bool:
    """Whether the body or what is welded to it has mass, as far as can be seen before compiling."""
    own = body.mass > 0 if body.explicitinertial else bool(body.geoms)
    return own or any(_has_mass(child) for child in body.bodies if not child.joints)


def _replace_drives(spec: mujoco.MjSpec, joints: dict[str, mujoco.MjsJoint]) -> None:
    # What refers to actuators by their number or joints by their old name goes with them.
    for element in (*spec.keys, *spec.sensors, *spec.actuators):
        spec.delete(element)
    for name, joint in joints.items():
        motor = MOTORS[name.split("_")[1]]
        joint.armature, joint.frictionloss = motor.armature, motor.friction
        joint.damping = np.array((motor.damping, 0.0, 0.0))
        joint.actfrclimited = mujoco.mjtLimited.mjLIMITED_FALSE  # limits are the engine's
        drive = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        drive.set_to_motor()


def _add_ground(spec: mujoco.MjSpec) -> list[str]:
    """The model's plane, or a new one, as "ground"; its friction, not the feet's, counts."""
    robot = [geom for geom in spec.geoms if geom.parent.name != "world"]
    for geom in robot:
        touches = bool(geom.contype or geom.conaffinity)
        geom.contype, geom.conaffinity = int(touches), 0
    planes = [geom for geom in spec.worldbody.geoms if geom.type == mujoco.mjtGeom.mjGEOM_PLANE]
    ground = planes[0] if planes else spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 0.1])
    ground.name, ground.contype, ground.conaffinity = "ground", 1, 1
    ground.condim, ground.friction[0] = 3, 1.0
    ground.priority = 1 + max(geom.priority for geom in robot) if robot else 1
    return [] if planes else ["a plane was added as ground"]


def _compile(spec: mujoco.MjSpec) -> mujoco.MjModel:
    try:
        return spec.compile()
    except ValueError as error:
        raise ModelError(str(error)) from error


def _check_limits(model: mujoco.MjModel) -> None:
    free = [name for name in JOINTS if not model.joint(name).limited]
    if free:
        raise ModelError(
            f"joints without limits: {', '.join(free)}. Add <limit lower= upper= .../> (URDF) or range= (MJCF), in rad"
        )
    for pose, angles in (("default", DEFAULT_POSE), ("prone", PRONE_POSE)):
        ranges = {name: model.joint(name).range for name in JOINTS}
        out = [
            f"{name} {angle:g} outside [{ranges[name][0]:.4g}, {ranges[name][1]:.4g}]"
            for name, angle in zip(JOINTS, angles, strict=True)
            if not ranges[name][0] <= angle <= ranges[name][1]
        ]
        if out:
            raise ModelError(f"its limits (in rad) do not allow the {pose} pose: {'; '.join(out)}")


def _add_feet(spec: mujoco.MjSpec, model: mujoco.MjModel) -> None:
    balls = {
        foot: spec.geom(foot) or _lowest_ball(spec.joint(f"{foot}_calf_joint").parent, model)
        for foot in FEET
        if spec.site(foot) is None
    }
    missing = [foot for foot, ball in balls.items() if ball is None]
    if missing:
        raise ModelError(f"no feet: {', '.join(missing)}. Give each calf a ball, or a site of that name, at its foot")
    places = {foot: (ball.parent, model.geom_pos[ball.id]) for foot, ball in balls.items() if ball is not None}
    for foot, (body, place) in places.items():  # only now, as numbers of geoms are lost once the model changes
        body.add_site(name=foot, pos=place)
    for site in map(spec.site, FEET):
        site.type, site.size, site.group = mujoco.mjtGeom.mjGEOM_SPHERE, [2 * FOOT_RADIUS] * 3, 4


def _lowest_ball(calf: mujoco.MjsBody, model: mujoco.MjModel) -> mujoco.MjsGeom | None:
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    balls = [g for g in _welded_geoms(calf) if g.type == mujoco.mjtGeom.mjGEOM_SPHERE and g.contype]
    return min(balls, key=lambda ball: data.geom_xpos[ball.id, 2], default=None)


def _welded_geoms(body: mujoco.MjsBody) -> list[mujoco.MjsGeom]:
    below = (geom for child in body.bodies if not child.joints for geom in _welded_geoms(child))
    return [*body.geoms, *below]


def _check_legs(model: mujoco.MjModel) -> None:
    """With equal joint angles the links point the same way as this robot's; or else axes or zeros differ."""
    data = mujoco.MjData(model)
    hip = 0.3  # away from zero, where its sign would not show
    pose = {name: hip if "hip" in name else angle for name, angle in zip(JOINTS, DEFAULT_POSE, strict=True)}
    for name, angle in pose.items():
        data.qpos[model.joint(name).qposadr[0]] = angle
    data.qpos[:7] = (0, 0, 0, 1, 0, 0, 0)
    mujoco.mj_kinematics(model, data)
    wrong = [leg for leg in LEGS if not _leg_is_usual(model, data, leg, pose)]
    if wrong:
        raise ModelError(
            f"at equal joint angles these legs are elsewhere than they should be: {', '.join(wrong)}. With x forward, "
            "y left, z up, a leg at zero is straight down; positive angles turn hips to the left, thighs and calves to "
            "the rear. Check axes and zeros of the joints"
        )


def _leg_is_usual(model: mujoco.MjModel, data: mujoco.MjData, leg: str, pose: dict[str, float]) -> bool:
    hip, thigh, calf = (data.xanchor[model.joint(f"{leg}_{link}_joint").id] for link in LINKS)
    roll, first, second = (pose[f"{leg}_{link}_joint"] for link in LINKS)
    in_its_corner = hip[0] * FRONT[leg] > 0 and hip[1] * LEFT[leg] > 0
    foot = data.site(leg).xpos
    return in_its_corner and _points(calf - thigh, roll, first) and _points(foot - calf, roll, first + second)


def _points(link: np.ndarray, hip: float, angle: float) -> bool:
    """Whether `link` (3,) hangs within 25° of how it should at the hip's and its own angle, in rad."""
    across = np.cos(angle)
    should = np.array((-np.sin(angle), np.sin(hip) * across, -np.cos(hip) * across))
    return bool(link @ should > np.cos(np.radians(25)) * np.linalg.norm(link))
