"""Drives that are stiffer, slower, late or weak, and readings that are late."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from isthmus_deploy.contracts.limits import Command
from isthmus_deploy.mismatch.lag import lagged
from isthmus_deploy.mismatch.motion import Array, Joints, Motion
from isthmus_deploy.mismatch.suspects.suspect import Suspect, Undo, reading, sent

_GAINS = (0.25, 0.35, 0.5, 0.65, 1.5, 2.0, 2.8, 4.0)
_SMOOTH = 2  # ticks before and after
_DELAYS = (1, 2, 3, 4, 6, 8)  # ticks
_SHARES = tuple(0.1 * 1.2 ** np.arange(12))  # of what nine tenths of the commands ask for at most
_CAPS = tuple(np.arange(0.45, 0.9, 0.025))  # of a command's range: the square of what a rotor reaches carries


def _pull(joints: Joints, lead: Array, motion: Motion) -> Array:
    """(n, k) rad: how far a joint's torque is beyond its target, its damping taken off; `lead` is damping by stiffness,
    s. A mean over some ticks: the readings' noise is none of it."""
    rate = lead * motion.signals[joints.rate] if joints.rate else 0.0
    pull = motion.commands[joints.command] - motion.signals[joints.position] - rate
    at = np.clip(np.arange(len(pull))[:, None] + np.arange(-_SMOOTH, _SMOOTH + 1), 0, len(pull) - 1)
    return pull[at].mean(axis=1)


def stiffer(joints: Joints, lead: Array) -> Iterator[Suspect]:
    """A torque f (k (target - q) - d v) is that of the trained gains k and d for another target."""

    def undone(factor: float) -> Undo:
        def undo(motion: Motion) -> Motion:
            moved = motion.commands[joints.command] + (factor - 1.0) * _pull(joints, lead, motion)
            return motion.with_commands(**{joints.command: moved})

        return undo

    for factor in _GAINS:
        words = f"the joints are about {factor:g} times as stiff"
        shrinks = -len(joints.names) * math.log(factor)
        yield Suspect(kind="gains", words=words, undo=undone(factor), shrinks=shrinks)


def faster(name: str, period_s: float, lag_s: float) -> Iterator[Suspect]:
    """A loop that follows with another time constant than the trained one: what it is sent, led or held back, is what
    the trained one would have followed in the same way."""

    def undone(factor: float) -> Callable[[Array], Array]:
        return lambda values: factor * values + (1.0 - factor) * lagged(values, period_s, lag_s / factor)

    for factor in _GAINS:
        words = f"{name} is followed about {factor:g} times as fast"
        yield Suspect(kind="gains", words=words, undo=sent(name, undone(factor)))


def late_commands(name: str) -> Iterator[Suspect]:
    """Commands act late."""
    for ticks in _DELAYS:
        words = f"{name} acts about {ticks} control periods late"
        yield Suspect(kind="delay", words=words, undo=sent(name, lambda values, t=ticks: _shifted(values, t)))


def late_readings(name: str) -> Iterator[Suspect]:
    """A reading is older than the others."""
    for ticks in _DELAYS:
        words = f"{name} is about {ticks} control periods old"
        yield Suspect(kind="delay", words=words, undo=reading(name, lambda values, t=ticks: _shifted(values, -t)))


def _shifted(values: Array, ticks: int) -> Array:
    """(n, k) later by `ticks`, or earlier; the ends are held."""
    return values[np.clip(np.arange(len(values)) - ticks, 0, len(values) - 1)]


def weak_joints(joints: Joints, lead: Array) -> Iterator[Suspect]:
    """One joint gives no more than some torque."""

    def undone(i: int, share: float) -> Undo:
        def undo(motion: Motion) -> Motion:
            pull, values = _pull(joints, lead, motion)[:, i], motion.commands[joints.command].copy()
            most = share * np.quantile(np.abs(pull), 0.9)
            values[:, i] += np.clip(pull, -most, most) - pull
            return motion.with_commands(**{joints.command: values})

        return undo

    for i, element in enumerate(joints.names):
        for share in _SHARES:
            words = f"{element} gives no more than about {share:.0%} of what it is asked for"
            yield Suspect(
                kind="saturated actuator", words=words, undo=undone(i, share), shrinks=-math.log(share)
            )  # fmt: skip


def capped(command: Command) -> Iterator[Suspect]:
    """One element reaches no more than some part of its range."""

    def cap(i: int, most: float):
        return lambda values: np.where(np.arange(values.shape[1]) == i, np.minimum(values, most), values)

    for i, element in enumerate(command.order):
        for share in _CAPS:
            words = f"{command.name} of {element} reaches no more than about {share:.0%} of its range"
            undo = sent(command.name, cap(i, share * command.maximum[i]))
            yield Suspect(kind="saturated actuator", words=words, undo=undo)
