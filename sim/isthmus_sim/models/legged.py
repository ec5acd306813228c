"""Fits a user's model to a legged robot: joints and a free base as any jointed robot's, and feet, and a ground."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np

from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.jointed import Drive, load_jointed
from isthmus_sim.models.physics import refuse_without_contacts
from isthmus_sim.models.reading import LoadedModel, compiled

GROUND = "ground"
_FOOT_GROUP = 4  # of sites that pictures do not show


def load_legged(
    source: str,
    drives: Mapping[str, Drive],
    ends: Mapping[str, str],
    *,
    foot_radius: float,
    feet: Mapping[str, str] | None = None,
    **options: Any,
) -> LoadedModel:
    """Read a model and make it fit a legged robot.

    It has a free base, first of all joints; joints and torque motors as `load_jointed` says; a site for each foot,
    whose volume holds the foot's contacts; and a geom "ground", whose friction counts. Its links no longer collide with
    each other.

    Args:
        ends: For each foot of the robot, the joint that its last link hangs on.
        foot_radius: m. A foot's contacts are looked for within twice as far of its centre; in a larger foot, further.
        feet: The site, geom or body of the model for feet whose names differ. Without, a foot is the site or geom of
            its name, or else the lowest ball of its last link.
        options: See `load_jointed`.

    Raises:
        ModelError: what does not fit, with the names and what to write.
    """
    loaded = load_jointed(source, drives, floating=True, **options)
    spec = loaded.spec
    try:
        changes = _add_ground(spec)
        _add_feet(spec, ends, feet or {}, foot_radius)
        compiled(spec)
    except ModelError as error:
        raise ModelError(f"model {source}: {error}") from error
    return replace(loaded, changes=loaded.changes + tuple(changes))


def _add_ground(spec: mujoco.MjSpec) -> list[str]:
    """The model's plane, or a new one, as "ground"; its friction, not the feet's, counts."""
    robot = [geom for geom in spec.geoms if geom.parent.name != "world"]
    changes = _pairs_as_shapes(spec)
    refuse_without_contacts(robot, spec)
    for geom in robot:
        touches = bool(geom.contype or geom.conaffinity)
        geom.contype, geom.conaffinity = int(touches), 0
    planes = [geom for geom in spec.worldbody.geoms if geom.type == mujoco.mjtGeom.mjGEOM_PLANE]
    ground = planes[0] if planes else spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 0.1])
    for geom in spec.geoms:
        if geom.name == GROUND:
            geom.name = ""
    ground.name, ground.contype, ground.conaffinity = GROUND, 1, 1
    ground.condim, ground.friction[0] = 3, 1.0
    ground.priority = 1 + max(geom.priority for geom in robot)
    return changes if planes else [*changes, "a plane was added as ground"]


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


def _add_feet(spec: mujoco.MjSpec, ends: Mapping[str, str], given: Mapping[str, str], radius: float) -> None:
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
            size=[max(2 * radius, 1.5 * place.reach)] * 3,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Foot:
    """Where a foot is: its body, its place (3,) on that in m, and how far its shape reaches, in m."""

    body: mujoco.MjsBody
    position: np.ndarray
    reach: float = 0.0


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
