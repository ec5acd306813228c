"""Drives that are stiffer, slower, late or weak, and readings that are late."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from isthmus_deploy.contracts.limits import Command
from isthmus_deploy.mismatch.motion import Array, Joints, Motion
from isthmus_deploy.mismatch.suspects.suspect import Suspect, Undo, reading, sent

_GAINS = (0.25, 0.35, 0.5, 0.65, 1.5, 2.0, 2.8, 4.0)
_LAGS_S = (0.03, 0.06, 0.1, 0.2)
_DELAYS = (1, 2, 3, 4, 6, 8)  # ticks
_SHARES = (0.1, 0.15, 0.22, 0.33, 0.5, 0.7)  # of what nine tenths of the commands ask for at most
_CAPS = (0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85)  # of a command's range


def _slowed(joints: Joints, lead: Array, motion: Motion) -> Array | float:
    """What a joint's damping takes off its target, rad."""
    return lead * motion.signals[joints.rate] if joints.rate else 0.0


def stiffer(joints: Joints, lead: Array) -> Iterator[Suspect]:
    """A torque f (k (target - q) - d v) is that of the trained gains k and d for another target; `lead` is d/k, s."""

    def undone(factor: float) -> Undo:
        def undo(motion: Motion) -> Motion:
            position, target = motion.signals[joints.position], motion.commands[joints.command]
            moved = position + factor * (target - position) - (factor - 1.0) * _slowed(joints, lead, motion)
            return motion.with_commands(**{joints.command: moved})

        return undo

    for factor in _GAINS:
        yield Suspect(kind="gains", words=f"the joints are about {factor:g} times as stiff", undo=undone(factor))


def slower(name: str, period_s: float) -> Iterator[Suspect]:
    """A command that is reached later, as by a slower loop."""
    for time_s in _LAGS_S:
        share = -math.expm1(-period_s / time_s)
        words = f"{name} is reached about {time_s:g} s later, as by a slower loop"
        yield Suspect(kind="gains", words=words, undo=sent(name, lambda values, s=share: _lagged(values, s)))


def _lagged(values: Array, share: float) -> Array:
    """A first-order lag of values (n, k), whose share of the gap is closed in each tick."""
    result = values.copy()
    for tick in range(1, len(values)):
        result[tick] = result[tick - 1] + share * (values[tick] - result[tick - 1])
    return result


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
            position, values = motion.signals[joints.position], motion.commands[joints.command].copy()
            base = position + _slowed(joints, lead, motion)
            pull = values[:, i] - base[:, i]
            most = share * np.quantile(np.abs(pull), 0.9)
            values[:, i] = base[:, i] + np.clip(pull, -most, most)
            return motion.with_commands(**{joints.command: values})

        return undo

    for i, element in enumerate(joints.names):
        for share in _SHARES:
            words = f"{element} gives no more than about {share:.0%} of what it is asked for"
            yield Suspect(kind="saturated actuator", words=words, undo=undone(i, share))


def capped(command: Command) -> Iterator[Suspect]:
    """One element reaches no more than some part of its range."""

    def cap(i: int, most: float):
        return lambda values: np.where(np.arange(values.shape[1]) == i, np.minimum(values, most), values)

    for i, element in enumerate(command.order):
        for share in _CAPS:
            words = f"{command.name} of {element} reaches no more than about {share:.0%} of its range"
            undo = sent(command.name, cap(i, share * command.maximum[i]))
            yield Suspect(kind="saturated actuator", words=words, undo=undo)
