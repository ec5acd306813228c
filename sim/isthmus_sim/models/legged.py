"""Fits a user's model to a legged robot: joints and a free base as any jointed robot's, and feet, and a ground."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import mujoco
import numpy as np

from isthmus_sim.description import RobotDescription
from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.jointed import Drive, load_jointed
from isthmus_sim.models.physics import refuse_without_contacts
from isthmus_sim.models.reading import LoadedModel, compiled

GROUND = "ground"
_FOOT_GROUP = 4  # of sites that images do not show
_AROUND = 0.02  # m: how far around a foot's shape its contacts are looked for
_ASIDE = 0.3  # rad: joints at zero are compared so far from it, where the signs of their axes show
_MOST_ASKEW = math.cos(math.radians(25))  # how far links may point elsewhere than the base's


def load_legged(
    source: str,
    drives: Mapping[str, Drive],
    ends: Mapping[str, str],
    *,
    joints: Mapping[str, str] | None = None,
    feet: Mapping[str, str] | None = None,
    base_link: str | None = None,
    looks: bool = False,
) -> LoadedModel:
    """Read a model and make it fit a legged robot.

    It has a free base, first of all joints; joints and torque motors as `load_jointed` says; a site for each foot,
    whose volume holds the foot's contacts; and a geom "ground", whose friction counts. Its links no longer collide with
    each other.

    Args:
        ends: For each foot of the robot, the joint that its last link hangs on.
        feet: The site, geom or body of the model for feet whose names differ. Without, a foot is the site or geom of
            its name, or else the lowest ball of its last link.
        source, drives, joints, base_link, looks: See `load_jointed`.

    Raises:
        ModelError: what does not fit, with the names and what to write.
    """
    loaded = load_jointed(source, drives, joints=joints, floating=True, base_link=base_link, looks=looks)
    spec = loaded.spec
    try:
        changes = _add_ground(spec)
        _add_feet(spec, ends, feet or {})
        compiled(spec)
    except ModelError as error:
        raise ModelError(f"model {source}: {error}") from error
    return replace(loaded, changes=loaded.changes + tuple(changes))


def refuse_other_legs(robot: RobotDescription, model: mujoco.MjModel) -> None:
    """Raise ModelError where legs of `model` are not where those of the robot's own model are at equal joint angles.

    Then axes or zeros of their joints differ, and no policy or pose of the one is one of the other's. Compared are in
    which corner each leg is, and where its long links point.
    """
    assert robot.model is not None, "a robot with legs has a model"
    source = robot.model(False)
    own = compiled(mujoco.MjSpec.from_string(source) if isinstance(source, str) else source.copy())
    pose = {name: joint.default_position or _ASIDE for name, joint in robot.joints.items()}
    chains = {
        foot: (_points(own, pose, foot, chain), _points(model, pose, foot, chain)) for foot, chain in robot.legs.items()
    }
    wrong = [foot for foot, (usual, given) in chains.items() if not _alike(usual, given)]
    if wrong:
        raise ModelError(
            f"at equal joint angles these legs are elsewhere than {robot.name}'s: {', '.join(wrong)}. With x forward, "
            "y left and z up, compare the axes and the zeros of their joints"
        )


def _points(model: mujoco.MjModel, pose: Mapping[str, float], foot: str, chain: Sequence[str]) -> np.ndarray:
    """A leg's joints and its foot, (n, 3) in m, with the base level at the origin."""
    data = mujoco.MjData(model)
    for name, angle in pose.items():
        data.qpos[model.joint(name).qposadr[0]] = angle
    data.qpos[:7] = (0, 0, 0, 1, 0, 0, 0)
    mujoco.mj_kinematics(model, data)
    return np.array([*(data.xanchor[model.joint(name).id] for name in chain), data.site(foot).xpos])


def _alike(usual: np.ndarray, given: np.ndarray) -> bool:
    if np.any(usual[0, :2] * given[0, :2] < 0):
        return False  # in another corner
    links, others = np.diff(usual, axis=0), np.diff(given, axis=0)
    lengths = np.linalg.norm(links, axis=1)
    long = lengths > lengths.max() / 2
    along = (links * others).sum(axis=1) / (lengths * np.linalg.norm(others, axis=1) + 1e-12)
    return bool((along[long] > _MOST_ASKEW).all())


def _add_ground(spec: mujoco.MjSpec) -> list[str]:
    """The model's plane, or a new one, as "ground"; its friction, not the feet's, counts."""
    robot = [geom for geom in spec.geoms if geom.parent.name != "world"]
    changes = _pairs_as_shapes(spec)
    refuse_without_contacts(robot, spec)
    for geom in robot:
        touches = bool(geom.contype or geom.conaffinity)
        geom.contype, geom.conaffinity = int(touches), 0
    planes = [geom for geom in spec.worldbody.geoms if geom.type == mujoco.mjtGeom.mjGEOM_PLANE]
    _refuse_other_ground(compiled(spec), [geom.id for geom in planes])
    ground = planes[0] if planes else spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 0.1])
    for geom in spec.geoms:
        if geom.name == GROUND:
            geom.name = ""
    ground.name, ground.contype, ground.conaffinity = GROUND, 1, 1
    ground.condim, ground.friction[0] = 3, 1.0
    ground.priority = 1 + max(geom.priority for geom in robot)
    return changes if planes else [*changes, "a plane was added as ground"]


def _refuse_other_ground(model: mujoco.MjModel, planes: list[int]) -> None:
    """Stances have their heights over a level ground at z = 0."""
    for plane in planes:
        across = np.zeros(3)
        mujoco.mju_rotVecQuat(across, np.array((0.0, 0.0, 1.0)), model.geom_quat[plane])
        if abs(model.geom_pos[plane, 2]) > 1e-6 or across[2] < 1 - 1e-9:
            raise ModelError(
                f"the plane {model.geom(plane).name!r} is not level at z = 0. Put it there, or leave it out: the robot "
                "gets a ground"
            )


def _pairs_as_shapes(spec: mujoco.MjSpec) -> list[str]:
    """Let shapes touch the ground by themselves that the file lets touch it in pairs, with the pairs' own friction."""
    names = {name for pair in spec.pairs for name in (pair.geomname1, pair.geomname2)}
    for geom in spec.geoms:
        if geom.name in names:
            geom.contype = geom.conaffinity = 1
    count = len(spec.pairs)
    for pair in spec.pairs:
        spec.delete(pair)
    return [f"{count} contact pairs of the file are left out: their shapes touch the ground as all do"] if count else []


def _add_feet(spec: mujoco.MjSpec, ends: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Make a site of each foot's name, where the foot is."""
    unknown = [foot for foot in given if foot not in ends]
    if unknown:
        raise ModelError(f"the robot has no feet called {', '.join(unknown)}. It has: {', '.join(ends)}")
    model = compiled(spec)
    feet = {
        foot: _given_foot(spec, model, given[foot]) if foot in given else _usual_foot(spec, model, foot, joint)
        for foot, joint in ends.items()
    }
    missing = [foot for foot, place in feet.items() if place is None]
    if missing:
        raise ModelError(_missing(spec, missing, ends, given))
    for site in [site for site in spec.sites if site.name in ends]:
        spec.delete(site)
    for foot, place in feet.items():  # only now, as the numbers of shapes are lost once the model changes
        assert place is not None
        place.body.add_site(
            name=foot, pos=place.position, type=mujoco.mjtGeom.mjGEOM_SPHERE, group=_FOOT_GROUP,
            size=[place.reach + _AROUND] * 3,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Foot:
    """Where a foot is: its body, its place (3,) on that in m, and how far its shape reaches, in m."""

    body: mujoco.MjsBody
    position: np.ndarray
    reach: float = 0.02


def _usual_foot(spec: mujoco.MjSpec, model: mujoco.MjModel, foot: str, joint: str) -> _Foot | None:
    """The foot that bears its name, or is the lowest ball of the link that hangs on `joint`."""
    site, geom = spec.site(foot), spec.geom(foot)
    if site is not None:
        return _site_foot(model, site)
    if geom is not None and geom.contype:
        return _geom_foot(model, geom)
    balls = [geom for geom in _touching(spec.joint(joint).parent) if geom.type == mujoco.mjtGeom.mjGEOM_SPHERE]
    return _lowest(model, balls)


def _given_foot(spec: mujoco.MjSpec, model: mujoco.MjModel, name: str) -> _Foot | None:
    """The foot that the model's site, geom or body of this `name` is."""
    site, geom, body = spec.site(name), spec.geom(name), spec.body(name)
    if site is not None:
        return _site_foot(model, site)
    if geom is not None:
        return _geom_foot(model, geom) if geom.contype else None
    return _lowest(model, _touching(body)) if body is not None else None


def _site_foot(model: mujoco.MjModel, site: mujoco.MjsSite) -> _Foot | None:
    position = model.site_pos[site.id].copy()
    return _Foot(body=site.parent, position=position) if _touching(site.parent) else None


def _geom_foot(model: mujoco.MjModel, geom: mujoco.MjsGeom) -> _Foot:
    reach = float(model.geom_rbound[geom.id])
    return _Foot(body=geom.parent, position=model.geom_pos[geom.id].copy(), reach=reach)


def _lowest(model: mujoco.MjModel, geoms: list[mujoco.MjsGeom]) -> _Foot | None:
    """The foot that the lowest of these shapes is, with all joints at zero."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    geom = min(geoms, key=lambda geom: data.geom_xpos[geom.id, 2], default=None)
    return None if geom is None else _geom_foot(model, geom)


def _touching(body: mujoco.MjsBody) -> list[mujoco.MjsGeom]:
    """The shapes of `body`, and of what is welded to it, that touch the ground."""
    own = [geom for geom in body.geoms if geom.contype]
    return own + [geom for child in body.bodies if not child.joints for geom in _touching(child)]


def _missing(spec: mujoco.MjSpec, feet: list[str], ends: Mapping[str, str], given: Mapping[str, str]) -> str:
    wrong = ", ".join(f"{given[foot]!r} for {foot}" for foot in feet if foot in given)
    lines = "; ".join(f'{foot} = "{_last_welded(spec.joint(ends[foot]).parent)}"' for foot in feet)
    return (
        f"no feet: {', '.join(feet)}. "
        + (f"No site, geom or body that touches the ground is called {wrong}. " if wrong else "")
        + "Give each last link a ball that touches, or a site of the foot's name; or name the model's feet in the "
        f"robot file, after a line [feet]: {lines}"
    )


def _last_welded(body: mujoco.MjsBody) -> str:
    """The name of what is welded to `body` last, often its foot."""
    welded = [child for child in body.bodies if not child.joints]
    return _last_welded(welded[-1]) if welded else body.name
