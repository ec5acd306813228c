"""Refuses numbers in a URDF that cannot be right, by link or joint: MuJoCo would take most of them in silence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.urdf.tree import name_of

_COUNTS = {
    ("origin", "xyz"): 3, ("origin", "rpy"): 3, ("axis", "xyz"): 3, ("mass", "value"): 1,
    ("inertia", "ixx"): 1, ("inertia", "iyy"): 1, ("inertia", "izz"): 1,
    ("inertia", "ixy"): 1, ("inertia", "ixz"): 1, ("inertia", "iyz"): 1,
    ("limit", "lower"): 1, ("limit", "upper"): 1, ("limit", "effort"): 1, ("limit", "velocity"): 1,
    ("dynamics", "damping"): 1, ("dynamics", "friction"): 1, ("mimic", "multiplier"): 1, ("mimic", "offset"): 1,
    ("box", "size"): 3, ("sphere", "radius"): 1, ("cylinder", "radius"): 1, ("cylinder", "length"): 1,
    ("capsule", "radius"): 1, ("capsule", "length"): 1, ("mesh", "scale"): 3,
    ("color", "rgba"): 4,
}  # fmt: skip
_POSITIVE = {"size", "radius", "length"}
_NOT_NEGATIVE = {"value", "effort", "velocity", "damping", "friction", "ixx", "iyy", "izz"}
_ROUNDING = 1e-12  # what tools leave of a zero
_MAY_BE_INFINITE = {"effort", "velocity"}  # no limit


def refuse_bad_numbers(robot: Element) -> None:
    """Raise ModelError that lists every number of the links and joints that is none, or has an impossible value."""
    found = [problem for owner in robot for problem in _problems(owner)]
    if found:
        raise ModelError(f"numbers that cannot be right: {'; '.join(found)}. Correct them")


def _problems(owner: Element) -> Iterator[str]:
    for element in owner.iter():
        for key, text in element.attrib.items():
            count = _COUNTS.get((element.tag, key))
            wrong = _wrong(key, text, count) if count else None
            if wrong:
                yield f'{owner.tag} {name_of(owner)!r}, <{element.tag} {key}="{text}">: {wrong}'
    limit = owner.find("limit")
    if limit is not None and not list(owner.iter("mimic")) and _crossed(limit):
        yield f"{owner.tag} {name_of(owner)!r}: its lower limit is above its upper limit"


def _wrong(key: str, text: str, count: int) -> str | None:
    """What is wrong with the text of `count` numbers; None where nothing is."""
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        return "not a number"
    if len(values) != count:
        return "one number is needed" if count == 1 else f"{count} numbers are needed"
    if key in _MAY_BE_INFINITE and values[0] == math.inf:
        return None
    if not all(map(math.isfinite, values)):
        return "not finite"
    if key in _POSITIVE and min(values) <= 0:
        return "must be positive"
    if key in _NOT_NEGATIVE and min(values) < -_ROUNDING:
        return "must not be negative"
    return None


def _crossed(limit: Element) -> bool:
    try:
        return float(limit.get("lower", "0")) > float(limit.get("upper", "0"))
    except ValueError:
        return False  # reported as what it is
