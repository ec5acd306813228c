"""Elements in another order, and elements that turn the other way."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from isthmus_deploy.mismatch.motion import Array, Joints, Motion
from isthmus_deploy.mismatch.suspects.suspect import Suspect, Undo, sent

_FEW = 5  # elements of which all orders are tried

Names = tuple[str, ...]


def _ways(joints: Joints) -> Mapping[str, tuple[Names, Names]]:
    """Where a fault of joints may lie: the readings and the commands that have it."""
    readings = tuple(name for name in (joints.position, joints.rate) if name)
    return {
        "readings": (readings, ()),
        "commands": ((), (joints.command,)),
        "readings and commands": (readings, (joints.command,)),
    }


def of_joints(joints: Joints) -> Iterator[Suspect]:
    """Two swapped, legs in another order, or all hips before all knees; in what is read, in what is sent, or both."""
    for order, words in _orders(joints.names):
        for way, (signals, commands) in _ways(joints).items():
            undo = _reordered(signals, commands, order)
            yield Suspect(kind="joint order", words=f"{words} in the {way}", undo=undo)


def of_free(name: str, names: Names) -> Iterator[Suspect]:
    """Every order of few elements."""
    if len(names) > _FEW:
        return
    for moved in itertools.permutations(range(len(names))):
        if moved != tuple(range(len(names))):
            words = f"{name} goes to {', '.join(names[i] for i in moved)} instead of {', '.join(names)}"
            yield Suspect(kind="joint order", words=words, undo=sent(name, _taken(np.argsort(moved))))


def _taken(order: Array):
    return lambda values: values[:, order]


def _reordered(signals: Names, commands: Names, order: Array) -> Undo:
    inverse = np.argsort(order)

    def undo(motion: Motion) -> Motion:
        motion = motion.with_signals(**{name: motion.signals[name][:, order] for name in signals})
        return motion.with_commands(**{name: motion.commands[name][:, inverse] for name in commands})

    return undo


def _orders(names: Names) -> Iterator[tuple[Array, str]]:
    n = len(names)
    for a, b in itertools.combinations(range(n), 2):
        order = np.arange(n)
        order[[a, b]] = order[[b, a]]
        yield order, f"{names[a]} and {names[b]} are swapped"
    for groups in (size for size in (2, 3, 4) if n % size == 0 and n > size):
        blocks = np.arange(n).reshape(groups, -1)
        for moved in itertools.permutations(range(groups)):
            if moved != tuple(range(groups)):
                yield blocks[list(moved)].ravel(), f"its {groups} groups come in the order {', '.join(map(str, moved))}"
        yield blocks.T.ravel(), f"{groups} groups are given joint by joint"
        yield np.argsort(blocks.T.ravel()), f"joint by joint is given as {groups} groups"


def signs(joints: Joints) -> Iterator[Suspect]:
    """Each joint by itself, in what is read, in what is sent, or both."""
    for i, element in enumerate(joints.names):
        for way, (signals, commands) in _ways(joints).items():
            words = f"{element} turns the other way in the {way}"
            yield Suspect(kind="sign", words=words, undo=_flipped(i, signals, commands))


def _flipped(i: int, signals: Names, commands: Names) -> Undo:
    def negated(values: Array) -> Array:
        return values * np.where(np.arange(values.shape[1]) == i, -1.0, 1.0)

    def undo(motion: Motion) -> Motion:
        motion = motion.with_signals(**{name: negated(motion.signals[name]) for name in signals})
        return motion.with_commands(**{name: negated(motion.commands[name]) for name in commands})

    return undo
