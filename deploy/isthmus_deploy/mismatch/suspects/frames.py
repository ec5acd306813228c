"""Vectors in another frame, and quaternions in another order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from isthmus_deploy.mismatch.motion import Array, Motion, Roles
from isthmus_deploy.mismatch.quaternions import in_world, product
from isthmus_deploy.mismatch.suspects.suspect import Suspect, Undo, reading

_KIND = "frame or quaternion order"
_CONJUGATE = np.array([1.0, -1.0, -1.0, -1.0])
_MOUNTS: Mapping[str, tuple[float, ...]] = {
    "90° to the left": (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)),
    "90° to the right": (math.sqrt(0.5), 0.0, 0.0, -math.sqrt(0.5)),
    "backwards": (0.0, 0.0, 0.0, 1.0),
    "upside down about x": (0.0, 1.0, 0.0, 0.0),
    "upside down about y": (0.0, 0.0, 1.0, 0.0),
}


def vectors(known: Roles) -> Iterator[Suspect]:
    """Body rates and velocities with their axes in another order or direction, in the world, or turned twice. One axis
    that points the other way is a sign."""
    for name in filter(None, (known.turning, known.velocity)):
        for order, signs in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
            if (order, signs) == ((0, 1, 2), (1, 1, 1)):
                continue
            axes = ", ".join(f"{'-' if sign < 0 else ''}{'xyz'[i]}" for i, sign in zip(order, signs, strict=True))
            one = order == (0, 1, 2) and sum(signs) == 1
            undo = reading(name, _axes(np.array(order), np.array(signs)))
            yield Suspect(kind="sign" if one else _KIND, words=f"{name} is ({axes})", undo=undo)
        if known.orientation:
            undo = _turned(name, known.orientation, back=False)
            yield Suspect(kind=_KIND, words=f"{name} is in the world's frame", undo=undo)
            undo = _turned(name, known.orientation, back=True)
            yield Suspect(kind=_KIND, words=f"{name} was turned into the body once too often", undo=undo)


def _axes(order: Array, signs: Array) -> Callable[[Array], Array]:
    """Undo a reading that is signs * true[order]."""
    back = np.argsort(order)
    return lambda values: (values * signs)[:, back]


def _turned(name: str, orientation: str, *, back: bool) -> Undo:
    def undo(motion: Motion) -> Motion:
        turn = motion.signals[orientation] * (1.0 if back else _CONJUGATE)
        return motion.with_signals(**{name: in_world(turn, motion.signals[name])})

    return undo


def quaternions(known: Roles) -> Iterator[Suspect]:
    """The orientation in another order of its elements, inverted, or of a sensor that is mounted otherwise."""
    if known.orientation is None:
        return
    ways: dict[str, Callable[[Array], Array]] = {
        "xyzw, read as wxyz": lambda q: q[:, [3, 0, 1, 2]],
        "wxyz, turned into wxyz once too often": lambda q: q[:, [1, 2, 3, 0]],
        "body_from_world": lambda q: q * _CONJUGATE,
    }
    for words, mount in _MOUNTS.items():
        ways[f"of a sensor mounted {words}"] = lambda q, m=mount: product(q, np.tile(m * _CONJUGATE, (len(q), 1)))
    for words, change in ways.items():
        yield Suspect(kind=_KIND, words=f"{known.orientation} is {words}", undo=reading(known.orientation, change))
