"""Fits a user's model to a robot's joints: by name, with its drives, on a base that is free or bolted to the world."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Protocol

import mujoco
import numpy as np

from isthmus_sim.models.base import free_base, refuse_massless, refuse_strangers
from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.joint_names import name_joints
from isthmus_sim.models.physics import check_physics, refuse_not_finite, told_springs
from isthmus_sim.models.reading import LoadedModel, compiled, read_model
from isthmus_sim.models.units import refuse_other_units

_MOST_TURN = 4 * math.pi  # rad: a joint that turns further is given in degrees
_LEAST_TURN = math.radians(2 * math.pi)  # rad: joints that all turn less are given in radians and read as degrees


class Drive(Protocol):
    """What a joint's drive is to the model: armature kg·m², dry friction N·m, viscous damping N·m·s/rad."""

    @property
    def armature(self) -> float: ...
    @property
    def friction(self) -> float: ...
    @property
    def damping(self) -> float: ...


def load_jointed(
    source: str,
    drives: Mapping[str, Drive],
    *,
    joints: Mapping[str, str] | None = None,
    sliding: Collection[str] = (),
    floating: bool = False,
    base_link: str | None = None,
    looks: bool = False,
) -> LoadedModel:
    """Read a model and make it fit `drives`: a robot's joints by name, and what drives each of them.

    The model's joints bear the robot's names afterwards, each with a torque motor of its name, and its drive's
    armature, friction and damping. The file's own actuators, sensors and key frames are left out, since they refer to
    what is replaced. The largest torque that the file allows a joint is kept, though not enforced, in its
    `actfrcrange`: limits are the engine's.

    Args:
        source: See `read_model`.
        joints: The model's joint for each of the robot's whose names differ; without, a joint has the robot's name, or
            that without the ending "_joint".
        sliding: The joints that slide; the others turn.
        floating: The robot is free to move, and gets a free base.
        base_link: The link whose frame is the base's, of a floating robot; by default its first link that has mass.
        looks: Keep what is only seen.

    Raises:
        ModelError: what does not fit, with the names and what to write.
    """
    read = read_model(source, floating=floating, base_link=base_link)
    spec = read.spec
    # Welded links stay bodies of their own: feet and cameras are found by them.
    spec.compiler.fusestatic = False
    spec.compiler.discardvisual = not looks
    try:
        changes = [*read.changes, *check_physics(spec, floating=floating)]
        names, renamed = name_joints(spec, tuple(drives), joints or {}, sliding)
        changes += renamed
        changes += _replace_drives(spec, drives)
        refuse_massless(spec)
        refuse_strangers(spec, tuple(drives), floating=floating)
        changes += free_base(spec, tuple(drives), base_link) if floating else []
        model = compiled(spec)
        refuse_not_finite(model)
        refuse_other_units(model)
        _check_ranges(spec, model, drives, sliding)
        changes += told_springs(model) + _told_loose(spec, drives)
    except ModelError as error:
        raise ModelError(f"model {source}: {error}") from error
    speeds = {name: read.velocity_limits[own] for name, own in names.items() if own in read.velocity_limits}
    return LoadedModel(spec=spec, changes=tuple(changes), velocity_limits=speeds)


def _replace_drives(spec: mujoco.MjSpec, drives: Mapping[str, Drive]) -> list[str]:
    """Give the joints what `drives` says, and motors."""
    for name, drive in drives.items():
        joint = spec.joint(name)
        joint.armature, joint.frictionloss = drive.armature, drive.friction
        joint.damping = np.array((drive.damping, 0.0, 0.0))
        joint.actfrcrange = _torque_range(spec, joint)
        joint.actfrclimited = mujoco.mjtLimited.mjLIMITED_FALSE
    replaced = {"actuators": spec.actuators, "sensors": spec.sensors, "key frames": spec.keys, "tuples": spec.tuples}
    gone = [kind for kind, elements in replaced.items() if elements]
    for element in [element for elements in replaced.values() for element in elements]:
        spec.delete(element)
    for name in drives:
        drive = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        drive.set_to_motor()
    return [f"the file's {', '.join(gone)} are left out: the robot has its own"] if gone else []


def _torque_range(spec: mujoco.MjSpec, joint: mujoco.MjsJoint) -> np.ndarray:
    """The torques that the file allows the joint, (2,) in N·m or N, by itself or by its actuators; zeros: any."""
    bounds = [np.abs(joint.actfrcrange).min()]
    for actuator in spec.actuators:
        if actuator.trntype == mujoco.mjtTrn.mjTRN_JOINT and actuator.target == joint.name:
            bounds.append(np.abs(actuator.forcerange).min() * abs(actuator.gear[0]))
    most = min((bound for bound in bounds if bound > 0), default=0.0)
    return np.array((-most, most))


def _check_ranges(
    spec: mujoco.MjSpec, model: mujoco.MjModel, drives: Mapping[str, Drive], sliding: Collection[str]
) -> None:
    """The driven joints have limits, and they are angles in the unit that the file says."""
    free = [name for name in drives if not model.joint(name).limited]
    if free:
        raise ModelError(
            f"joints without limits: {', '.join(free)}. Add <limit lower= upper= .../> to a joint of type revolute or "
            "prismatic (URDF), or range= (MJCF)"
        )
    turns = {name: float(np.abs(model.joint(name).range).max()) for name in drives if name not in sliding}
    far = [f"{name} {turn:.4g} rad" for name, turn in turns.items() if turn > _MOST_TURN]
    if far:
        raise ModelError(
            f"limits that look like degrees: {', '.join(far)}. URDF has radians; for MJCF write "
            '<compiler angle="degree"/>'
        )
    if turns and spec.compiler.degree and max(turns.values()) < _LEAST_TURN:
        raise ModelError(
            f"no joint turns further than {math.degrees(max(turns.values())):.3g}°, as its file has no "
            '<compiler angle="radian"/>, without which MJCF counts in degrees. Write it'
        )


def _told_loose(spec: mujoco.MjSpec, drives: Mapping[str, Drive]) -> list[str]:
    """The joints that nothing drives."""
    leaders = {tie.name1: tie.name2 for tie in spec.equalities if tie.type == mujoco.mjtEq.mjEQ_JOINT and tie.active}
    changes = []
    for joint in spec.joints:
        if joint.name in drives or joint.type == mujoco.mjtJoint.mjJNT_FREE:
            continue
        if joint.name in leaders:
            changes.append(f"joint {joint.name!r} follows {leaders[joint.name] or 'its own zero'!r}")
        else:
            changes.append(f"joint {joint.name!r} has no motor and hangs loose")
    return sorted(changes)
