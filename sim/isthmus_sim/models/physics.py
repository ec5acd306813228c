"""Finds what a model's file switches off, so that no policy is trained where nothing weighs, or touches, unawares."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

from collections.abc import Iterable

import mujoco
import numpy as np

from isthmus_sim.models.errors import ModelError

_GRAVITY = np.array((0.0, 0.0, -9.81))  # m/s²
_LEAST_PULL = 0.1  # m/s²: less is none, for what walks
_TIES = (mujoco.mjtEq.mjEQ_WELD, mujoco.mjtEq.mjEQ_CONNECT)
_FLAGS = ("constraint", "equality", "frictionloss", "limit", "contact", "spring", "damper", "gravity", "clampctrl",
          "actuation", "sensor")  # fmt: skip
"""What a robot needs switched on; the others of MuJoCo's flags only change how the same thing is computed."""

_NUMBERS = {
    "body": ("body_pos", "body_quat", "body_mass", "body_ipos", "body_inertia"),
    "joint": ("jnt_pos", "jnt_axis", "jnt_range", "jnt_stiffness", "jnt_actfrcrange"),
    "geom": ("geom_pos", "geom_quat", "geom_size", "geom_friction"),
}


def check_physics(spec: mujoco.MjSpec, *, floating: bool) -> list[str]:
    """Refuse what is switched off; returns a sentence for each other setting that changes what the robot feels.

    `floating`: the robot is not bolted to the world, so that nothing may hold it up but its feet.

    Raises ModelError with the lines of the file to change, all of them.
    """
    faults = [
        f'<option><flag {name}="disable"/></option> switches {name} off. Remove it'
        for name in _FLAGS
        if spec.option.disableflags & getattr(mujoco.mjtDisableBit, f"mjDSBL_{name.upper()}")
    ]
    if spec.option.enableflags & mujoco.mjtEnableBit.mjENBL_OVERRIDE:
        faults.append('<option><flag override="enable"/></option> gives all contacts one friction. Remove it')
    if spec.option.disableactuator:
        faults.append("<option actuatorgroupdisable=.../> switches actuators off. Remove it")
    gravity = np.asarray(spec.option.gravity)
    if not np.isfinite(gravity).all() or gravity[2] > -_LEAST_PULL:
        faults.append(f'gravity="{_text(gravity)}" does not pull down. Write <option gravity="{_text(_GRAVITY)}"/>')
    if floating:
        faults += _held_up(spec)
    if faults:
        raise ModelError(". ".join(faults))
    return _unusual(spec)


def refuse_not_finite(model: mujoco.MjModel) -> None:
    """Raise ModelError naming the bodies, joints and geoms with numbers that are none; MuJoCo only warns of them."""
    wrong = [
        f"{kind} {getattr(model, kind)(index).name!r}"
        for kind, fields in _NUMBERS.items()
        for index in range(len(getattr(model, fields[0])))
        if not all(np.isfinite(getattr(model, field)[index]).all() for field in fields)
    ]
    if wrong:
        raise ModelError(f"numbers that are not finite: {', '.join(wrong)}. Correct them")


def told_springs(model: mujoco.MjModel) -> list[str]:
    """A sentence for the model's own springs: a robot keeps them beside its motors."""
    kinds = {"joint": model.jnt_stiffness, "tendon": model.tendon_stiffness}
    springs = [
        f"{kind} {getattr(model, kind)(index).name!r} {stiffness[index]:g}"
        for kind, stiffness in kinds.items()
        for index in np.flatnonzero(stiffness)
    ]
    return [f"the file's springs act beside the motors (N·m/rad, N/m): {', '.join(springs)}"] if springs else []


def refuse_without_contacts(robot: Iterable[mujoco.MjsGeom], spec: mujoco.MjSpec) -> None:
    """Raise ModelError where no geom of the robot can touch anything."""
    excluded = [exclude for exclude in spec.excludes if "world" in (exclude.bodyname1, exclude.bodyname2)]
    if excluded:
        bodies = ", ".join(f"{exclude.bodyname1!r} and {exclude.bodyname2!r}" for exclude in excluded)
        raise ModelError(f"<contact><exclude> lets these pass through each other: {bodies}. Remove it")
    if not any(geom.contype or geom.conaffinity for geom in robot):
        raise ModelError(
            'no shape of the robot touches anything: each has contype="0" conaffinity="0", or it has none. Give its '
            "feet and body shapes that touch (a <collision> in URDF)"
        )


def _held_up(spec: mujoco.MjSpec) -> list[str]:
    """What carries a robot that should stand on its feet."""
    lifted = _compensated(spec)
    faults = [f"gravcomp takes the weight of {lifted}. Remove it"] if lifted else []
    for tie in spec.equalities:
        ends = {_body_of(spec, tie, name) for name in (tie.name1, tie.name2)}
        if tie.active and tie.type in _TIES and "world" in ends:
            faults.append(f"an <equality> ties {' and '.join(sorted(map(repr, ends)))} together. Remove it")
    hung = [body.name for body in spec.bodies if body.mocap]
    return faults + [f'mocap="true" holds {name!r} where it is. Remove it' for name in hung]


def _body_of(spec: mujoco.MjSpec, tie: mujoco.MjsEquality, name: str) -> str:
    """The body that one end of an equality constraint is on."""
    if not name:
        return "world"
    return spec.site(name).parent.name if tie.objtype == mujoco.mjtObj.mjOBJ_SITE else name


def _compensated(spec: mujoco.MjSpec) -> str:
    return ", ".join(repr(body.name) for body in spec.bodies if body.gravcomp)


def _unusual(spec: mujoco.MjSpec) -> list[str]:
    option, changes = spec.option, []
    if np.abs(np.asarray(option.gravity) - _GRAVITY).max() > 0.05:
        changes.append(f"the file's gravity is {_text(option.gravity)} m/s², not {_text(_GRAVITY)}")
    if option.density or option.viscosity:
        changes.append(f"the robot moves in a medium of {option.density:g} kg/m³ and {option.viscosity:g} Pa·s")
    if np.any(option.wind):
        changes.append(f"a wind of {_text(option.wind)} m/s blows")
    if option.timestep != mujoco.MjSpec().option.timestep:
        changes.append(f"the file's time step of {option.timestep:g} s is not used: scenes have their own")
    if _compensated(spec):
        changes.append(f"gravcomp takes the weight of {_compensated(spec)}")
    return changes


def _text(values: np.ndarray) -> str:
    return " ".join(f"{value:g}" for value in values)
