"""The base of a robot that is not bolted to the world: the body that all its joints hang on, free to move."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.reading import compiled
from isthmus_sim.models.spatial_inertia import Pose, SpatialInertia, total
from isthmus_sim.models.urdf.inertials import is_negligible

_GROUNDS = (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_HFIELD)


def free_base(spec: mujoco.MjSpec, joints: Sequence[str], base_link: str | None) -> list[str]:
    """Give the body that carries all `joints` a free joint, and the mass of what is welded to it.

    Returns what was done.

    Raises ModelError where they hang on several bodies, on another than `base_link`, on one that comes late in the
    file or moves otherwise.
    """
    roots = {_named_root(spec, spec.joint(joint).parent) for joint in joints}
    if len(roots) > 1:
        raise ModelError(f"the joints hang on different bodies: {', '.join(sorted(roots))}. They need one base")
    base = spec.body(roots.pop())
    first = spec.bodies[1]  # after the world
    if first.name != base.name:
        raise ModelError(f"body {first.name!r} comes before the base {base.name!r}. Put the robot first")
    if base_link not in (None, base.name):
        raise ModelError(f"the robot's root is {base.name!r}, not {base_link!r}. Write base_link = {base.name!r}")
    changes = [] if any(joint.type == mujoco.mjtJoint.mjJNT_FREE for joint in base.joints) else _set_free(base)
    return changes + _carry_welded(spec, base)


def _named_root(spec: mujoco.MjSpec, body: mujoco.MjsBody) -> str:
    """The name of the body below the world that carries `body`; it gets one where it has none."""
    while body.parent.name != "world":
        body = body.parent
    if not body.name:
        body.name = "base" if spec.body("base") is None else "base of the robot"
    return body.name


def _set_free(base: mujoco.MjsBody) -> list[str]:
    if base.joints:
        raise ModelError(f"the base {base.name!r} moves on {base.joints[0].name!r}. Give it a free joint, or none")
    base.add_freejoint(name="base")
    return [f"the base {base.name!r} got a free joint"]


def refuse_strangers(spec: mujoco.MjSpec, joints: Sequence[str], *, floating: bool) -> None:
    """Raise ModelError naming what is no part of the robot: its weight and its heights would be counted as the robot's.

    A bolted robot may stand on something; nothing else in its file may move freely.
    """
    own = {_named_root(spec, spec.joint(joint).parent) for joint in joints}
    others = [body for body in spec.worldbody.bodies if body.name not in own]
    names = [_called(body) for body in others if _has_free_part(body) or (floating and _has_part(body))]
    touching = [geom for geom in spec.worldbody.geoms if geom.contype or geom.conaffinity]
    if floating:
        names += [f"the world's shape {_called(geom)}" for geom in touching if geom.type not in _GROUNDS]
    if names:
        raise ModelError(
            f"the file holds what is no part of the robot: {', '.join(names)}. Leave it out: scenes bring what stands "
            "around a robot"
        )


def _called(element: mujoco.MjsBody | mujoco.MjsGeom) -> str:
    return repr(element.name) if element.name else "without a name"


def _has_part(body: mujoco.MjsBody) -> bool:
    return bool(body.joints or body.geoms or body.mass) or any(map(_has_part, body.bodies))


def _has_free_part(body: mujoco.MjsBody) -> bool:
    free = any(joint.type == mujoco.mjtJoint.mjJNT_FREE for joint in body.joints)
    return free or any(map(_has_free_part, body.bodies))


def refuse_massless(spec: mujoco.MjSpec) -> None:
    """Raise ModelError naming the bodies that move without mass, or have a negative one."""
    wrong = [f"{body.name!r} {body.mass:g} kg" for body in spec.bodies if body.mass < 0]
    wrong += [f"{geom.parent.name!r}, by a geom" for geom in spec.geoms if geom.mass < 0 or geom.density < 0]
    wrong += [f"{body.name!r} 0 kg" for body in spec.bodies if body.joints and not _has_mass(body)]
    if wrong:
        raise ModelError(f"bodies without a positive mass: {'; '.join(wrong)}. Correct their inertial")


def _has_mass(body: mujoco.MjsBody) -> bool:
    """Whether the body or what is welded to it has mass, as far as can be seen before compiling."""
    own = body.mass > 0 if body.explicitinertial else bool(body.geoms)
    return own or any(_has_mass(child) for child in body.bodies if not child.joints)


def _carry_welded(spec: mujoco.MjSpec, base: mujoco.MjsBody) -> list[str]:
    """Give a base without mass that of the bodies welded to it, so that a payload has something to add to."""
    model = compiled(spec)
    bodies = [body for body in range(model.nbody) if model.body_weldid[body] == base.id]
    parts = {body: _inertia(model, body, base.id) for body in bodies if model.body_mass[body] > 0}
    if not is_negligible(parts.get(base.id)) or not parts:
        return []
    whole = total(parts.values())
    names = ", ".join(repr(model.body(body).name) for body in parts if body != base.id)
    if spec.compiler.inertiafromgeom == mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_TRUE:
        _adopt_inertias(spec)
    for body in spec.bodies:
        if body.id in bodies:
            _set_inertia(body, whole if body.id == base.id else None)
    return [f"body {base.name!r} has no mass of its own and carries that of {names}, welded to it"]


def _adopt_inertias(spec: mujoco.MjSpec) -> None:
    """Make explicit what the file takes from all shapes, so that single bodies can have another inertia."""
    for body in spec.bodies[1:]:
        spec.adopt_inertial(body)
    spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_AUTO


def _inertia(model: mujoco.MjModel, body: int, base: int) -> SpatialInertia:
    """The body's inertia in the frame of `base`, to which it is welded."""
    principal = SpatialInertia(
        mass=float(model.body_mass[body]), com=np.zeros(3), inertia=np.diag(model.body_inertia[body])
    ).in_parent(_pose(model.body_ipos[body], model.body_iquat[body]))
    while body != base:
        principal = principal.in_parent(_pose(model.body_pos[body], model.body_quat[body]))
        body = int(model.body_parentid[body])
    return principal


def _pose(position: np.ndarray, quaternion: np.ndarray) -> Pose:
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, quaternion)
    return Pose(rotation=rotation.reshape(3, 3), position=position.copy())


def _set_inertia(body: mujoco.MjsBody, inertia: SpatialInertia | None) -> None:
    """Make this the body's explicit inertia; None: no mass."""
    body.explicitinertial = True
    body.mass, body.ipos, body.iquat = (0.0, np.zeros(3), np.array((1.0, 0.0, 0.0, 0.0)))
    body.inertia, body.fullinertia = np.zeros(3), np.full(6, np.nan)
    if inertia is not None:
        (xx, xy, xz), (_, yy, yz), (_, _, zz) = inertia.inertia
        body.mass, body.ipos, body.fullinertia = inertia.mass, inertia.com, np.array((xx, yy, zz, xy, xz, yz))
