"""A flight as plain arrays, and which of a contract's signals are what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.flight.recorded import Flight

Array = np.ndarray
Values = Mapping[str, Array]


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """n ticks, one control period apart, in which commands were sent. Transformed ones share what is the same."""

    signals: Values
    """Name -> (n, size), in the contract's units; goals and images are left out."""
    commands: Values
    """Name -> (n, size): what was sent in each tick, in answer to its readings."""

    def __len__(self) -> int:
        return len(next(iter(self.commands.values())))

    def until(self, tick: int) -> Motion:
        """The ticks before `tick`."""
        return Motion(
            signals={name: values[:tick] for name, values in self.signals.items()},
            commands={name: values[:tick] for name, values in self.commands.items()},
        )

    def with_signals(self, **changed: Array) -> Motion:
        """The same with other readings."""
        return replace(self, signals={**self.signals, **changed})

    def with_commands(self, **changed: Array) -> Motion:
        """The same with other commands."""
        return replace(self, commands={**self.commands, **changed})


@dataclass(frozen=True, kw_only=True)
class Joints:
    """A command of positions, and the readings of what it sets; `rate` is None where nothing measures how fast."""

    command: str
    position: str
    rate: str | None
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The names of a contract's signals and commands by what they are; None for what the robot does not measure."""

    joints: tuple[Joints, ...]
    free: tuple[str, ...]
    """Commands of which nothing measures whether they are reached, such as rotor speeds."""
    orientation: str | None
    turning: str | None
    """Body rates, rad/s, in the body."""
    velocity: str | None
    """m/s, in the body."""
    position: str | None
    """m, in the world."""


def roles(contract: Contract) -> Roles:
    """What is what, by unit, frame and order."""
    measured = {command.name: contract.measured(command) for command in contract.commands}
    joints = tuple(
        Joints(
            command=command.name,
            position=reading.name,
            rate=None if (rate := contract.measured_rate(command)) is None else rate.name,
            names=tuple(command.order),
        )
        for command in contract.commands
        if (reading := measured[command.name]) is not None
    )

    def named(unit: str, frame: str, size: int) -> str | None:
        found = (s.name for s in contract.signals if (s.unit, s.frame, s.shape) == (unit, frame, (size,)))
        goals = {s.name for s in contract.signals if s.max_age_s is None}
        return next((name for name in found if name not in goals), None)

    return Roles(
        joints=joints,
        free=tuple(name for name, reading in measured.items() if reading is None),
        orientation=named("1", "world_from_body", 4),
        turning=named("rad/s", "body", 3),
        velocity=named("m/s", "body", 3),
        position=named("m", "world", 3),
    )


def motion(flight: Flight) -> Motion:
    """The ticks of a flight in which something was sent: the longest stretch without a tick missing."""
    commanded = np.ones(len(flight.states), bool)
    for values in flight.sent.values():
        commanded &= np.isfinite(values).reshape(len(values), -1).all(axis=1)
    ticks = flight.numbers["tick"]
    breaks = np.flatnonzero((np.diff(ticks) != 1) | ~commanded[1:] | ~commanded[:-1]) + 1
    ends = np.concatenate([[0], breaks, [len(ticks)]])
    lengths = np.where(commanded[ends[:-1]], np.diff(ends), 0)
    longest = int(lengths.argmax())
    rows = slice(ends[longest], ends[longest] + max(1, int(lengths[longest])))
    goals = {signal.name for signal in flight.contract.signals if signal.max_age_s is None}
    return Motion(
        signals={
            name: values[rows].reshape(-1, int(np.prod(values.shape[1:]))).astype(float)
            for name, values in flight.signals.items()
            if name not in goals and values.dtype != np.uint8
        },
        commands={
            name: values[rows].reshape(-1, int(np.prod(values.shape[1:]))).astype(float)
            for name, values in flight.sent.items()
        },
    )
