"""Readings and commands of another size: offsets, units, scales."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from isthmus_deploy.mismatch.motion import Array, Joints
from isthmus_deploy.mismatch.suspects.suspect import Suspect, reading, sent

_UNITS = {
    "degrees for radians": 180 / math.pi, "radians for degrees": math.pi / 180, "turns for radians": 1 / (2 * math.pi),
    "rpm for rad/s": 30 / math.pi, "rad/s for rpm": math.pi / 30, "thousandths": 1e3, "thousands": 1e-3,
}  # fmt: skip
"""What a number is multiplied with that is given in the one for the other."""
_OFFSETS = (-0.4, -0.28, -0.2, -0.14, -0.1, 0.1, 0.14, 0.2, 0.28, 0.4)  # rad or rad/s
_SCALES = (0.25, 0.35, 0.5, 0.65, 1.5, 2.0, 2.8, 4.0)


def offsets(joints: Joints) -> Iterator[Suspect]:
    """The zero of one joint."""
    size = len(joints.names)
    for i, element in enumerate(joints.names):
        for offset in _OFFSETS:
            words = f"{element} reads about {offset:+g} too much"
            yield Suspect(kind="offset", words=words, undo=reading(joints.position, _moved(i, size, offset)))


def biases(turning: str) -> Iterator[Suspect]:
    """The zero of one axis of the gyro."""
    for i, axis in enumerate("xyz"):
        for offset in _OFFSETS:
            words = f"{turning} about {axis} reads about {offset:+g} rad/s too much"
            yield Suspect(kind="offset", words=words, undo=reading(turning, _moved(i, 3, offset)))


def _moved(i: int, size: int, offset: float):
    change = offset * np.eye(size)[i]
    return lambda values: values - change


def units(name: str, size: int, *, command: bool) -> Iterator[Suspect]:
    """All elements in another unit."""
    for words, factor in _UNITS.items():
        if command:
            said, undo = f"{name} is taken in {words}", sent(name, lambda values, f=factor: values * f)
        else:
            said, undo = f"{name} is in {words}", reading(name, lambda values, f=factor: values / f)
        yield Suspect(kind="unit", words=said, undo=undo, shrinks=0.0 if command else size * math.log(factor))


def scales(name: str, center: Array) -> Iterator[Suspect]:
    """What is sent acts further, or less far, from where a sound robot rests or hovers."""

    def spread(factor: float):
        return lambda values: center + factor * (values - center)

    for factor in _SCALES:
        words = f"{name} acts about {factor:g} times as far"
        yield Suspect(kind="action scale", words=words, undo=sent(name, spread(factor)))
