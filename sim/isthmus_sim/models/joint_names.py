"""Finds a robot's joints in a model, and gives them the robot's names wherever the model refers to them."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

import mujoco

from isthmus_sim.models.errors import ModelError

_TENDON_FIELDS = ("name", "actfrclimited", "actfrcrange", "armature", "damping", "frictionloss", "group", "limited",
                  "margin", "material", "range", "rgba", "solimp_friction", "solimp_limit", "solref_friction",
                  "solref_limit", "springlength", "stiffness", "userdata", "width")  # fmt: skip


def name_joints(
    spec: mujoco.MjSpec, names: Sequence[str], given: Mapping[str, str], sliding: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """Give the model's joints the robot's `names`; returns the model's own names by these, and what was done.

    Args:
        given: The model's joint for some of `names`; the others are called the same, or so without "_joint".
        sliding: Those of `names` that slide; the others turn.

    Raises:
        ModelError: joints that are missing, of another type, taken twice or led by another, with what to write.
    """
    own = _found(spec, names, given)
    _check_types(spec, own, sliding)
    _refuse_followers(spec, own)
    renamed = {old: new for new, old in own.items() if new != old}
    taken = [new for old, new in renamed.items() if spec.joint(new) is not None and new not in renamed]
    if taken:
        raise ModelError(
            f"other joints of the model are called {', '.join(map(repr, taken))}, as the robot's. Rename them, or "
            "leave them out of the mapping of joints"
        )
    _rename(spec, renamed)
    return own, [f"joint {old!r} is {new!r}" for old, new in renamed.items()]


def _found(spec: mujoco.MjSpec, names: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ModelError(
            f"the mapping of joints names some that the robot lacks: {', '.join(unknown)}. It has: {', '.join(names)}"
        )
    own = {name: _match(spec, name, given.get(name)) for name in names}
    has = [joint.name for joint in spec.joints if joint.name and joint.type != mujoco.mjtJoint.mjJNT_FREE]
    missing = [name for name, joint in own.items() if joint is None]
    if missing:
        raise ModelError(_missing(missing, has, [joint for joint in has if joint not in own.values()], given))
    found = {name: joint for name, joint in own.items() if joint is not None}
    twice = [joint for joint, count in Counter(found.values()).items() if count > 1]
    if twice:
        raise ModelError(
            f"joints of the model that stand for several of the robot's: {', '.join(twice)}. Map each once"
        )
    return found


def _match(spec: mujoco.MjSpec, name: str, given: str | None) -> str | None:
    candidates = (given,) if given is not None else (name, name.removesuffix("_joint"))
    return next((candidate for candidate in candidates if spec.joint(candidate) is not None), None)


def _missing(missing: list[str], has: list[str], free: list[str], given: Mapping[str, str]) -> str:
    wrong = ", ".join(f"{given[name]} for {name}" for name in missing if name in given)
    lines = []
    for name in missing:
        near = get_close_matches(name, free, n=1, cutoff=0.0)
        lines.append(f'{name} = "{near[0] if near else "..."}"')
        free = [joint for joint in free if joint not in near]
    return (
        f"missing joints: {', '.join(missing)}. It has: {', '.join(has) or 'none'}. "
        + (f"There is no {wrong}. " if wrong else "")
        + f"Where names differ, map them in the robot file, after a line [joints]: {'; '.join(lines)}"
    )


def _check_types(spec: mujoco.MjSpec, own: Mapping[str, str], sliding: Collection[str]) -> None:
    hinge, slide = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE
    wrong = [
        f"{name} does not {'slide' if name in sliding else 'turn'}"
        for name, joint in own.items()
        if spec.joint(joint).type != (slide if name in sliding else hinge)
    ]
    if wrong:
        raise ModelError(
            f"joints of another type than the robot's: {', '.join(wrong)}. Turning ones are revolute (URDF) or hinge "
            "(MJCF), sliding ones prismatic or slide"
        )


def _refuse_followers(spec: mujoco.MjSpec, own: Mapping[str, str]) -> None:
    """A joint that another leads does not go where it is told."""
    driven = {joint: name for name, joint in own.items()}
    led = [
        f"{tie.name1!r} by {tie.name2 or 'a constant'!r}"
        for tie in spec.equalities
        if tie.type == mujoco.mjtEq.mjEQ_JOINT and tie.active and tie.name1 in driven
    ]
    led += [
        f"{' and '.join(map(repr, sorted(tied)))} by the tendon {tie.name1!r}"
        for tie in spec.equalities
        if tie.type == mujoco.mjtEq.mjEQ_TENDON and tie.active and (tied := _tied(spec, tie)) and tied <= set(driven)
    ]
    if led:
        raise ModelError(
            f"joints that are led by others cannot be driven: {', '.join(led)}. Remove their <mimic> (URDF) or "
            "<equality> (MJCF), or drive the leaders only"
        )


def _tied(spec: mujoco.MjSpec, tie: mujoco.MjsEquality) -> set[str]:
    """The joints whose angles a constraint of fixed tendons ties together."""
    tendons = [spec.tendon(name) for name in (tie.name1, tie.name2) if name]
    return {joint for tendon in tendons if tendon is not None for joint, _ in _joints_of(tendon)}


def _rename(spec: mujoco.MjSpec, renamed: Mapping[str, str]) -> None:
    """Rename joints, and references to them; of those, what belongs to drives and key frames is replaced anyway."""
    tendons = [(tendon, _joints_of(tendon)) for tendon in spec.tendons]
    joints = {new: spec.joint(old) for old, new in renamed.items()}
    for number, joint in enumerate(joints.values()):  # names may change places
        joint.name = f"{number} is being renamed"
    for new, joint in joints.items():
        joint.name = new
    for tie in spec.equalities:
        if tie.type == mujoco.mjtEq.mjEQ_JOINT:
            tie.name1, tie.name2 = (renamed.get(name, name) for name in (tie.name1, tie.name2))
    for actuator in spec.actuators:
        if actuator.trntype in (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT):
            actuator.target = renamed.get(actuator.target, actuator.target)
    for tendon, wraps in tendons:
        if any(joint in renamed for joint, _ in wraps):
            _wind_again(spec, tendon, [(renamed.get(joint, joint), coef) for joint, coef in wraps])


def _joints_of(tendon: mujoco.MjsTendon) -> list[tuple[str, float]]:
    """The joints of a fixed tendon with their coefficients; none of a spatial one."""
    wraps = [wrap for wrap in tendon.path if wrap.type == mujoco.mjtWrap.mjWRAP_JOINT]
    if any(wrap.target is None for wrap in wraps):
        raise ModelError(f"the tendon {tendon.name!r} is on a joint that there is not. Correct its <joint joint=.../>")
    return [(wrap.target.name, wrap.coef) for wrap in wraps]


def _wind_again(spec: mujoco.MjSpec, tendon: mujoco.MjsTendon, wraps: list[tuple[str, float]]) -> None:
    """Replace a fixed tendon by its like over joints of other names, which it cannot be given."""
    fields = {field: getattr(tendon, field) for field in _TENDON_FIELDS}
    spec.delete(tendon)
    new = spec.add_tendon()
    for field, value in fields.items():
        setattr(new, field, value)
    for joint, coef in wraps:
        new.wrap_joint(joint, coef)
