"""What a safety chain must know of a robot: which readings are plausible, and what it may be commanded.

A policy's contract holds them, and a robot may announce them; whoever drives it is held to them.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from isthmus_deploy.contracts.consistency import (
    InconsistentContract,
    check_expiry,
    check_image,
    check_inside_range,
    check_joints,
    check_length,
    check_order,
    check_positive,
    check_range,
    check_still,
    check_trained_around,
    check_trained_range,
    check_transition_rate,
    paths,
    same_quantity,
    text,
)
from isthmus_deploy.contracts.robot_interface import CommandInterface, Joint, RobotInterface, SignalInterface, narrowed
from isthmus_deploy.contracts.safety_check import check_safety
from isthmus_deploy.contracts.safety_data import Safety
from isthmus_deploy.contracts.schema import ContractError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signal(SignalInterface):
    """One raw reading, and the bounds outside which it is implausible.

    A tuple "per element" has one entry per element of the last axis, named by `order`.
    """

    # field() without a default: what an interface may leave open must be said here.
    minimum: tuple[float, ...] = dataclasses.field()
    maximum: tuple[float, ...] = dataclasses.field()
    max_jump: tuple[float, ...] = dataclasses.field()
    max_age_s: float | None = dataclasses.field()
    """Age at which the reading is stale; None for one that stays valid until replaced, such as a goal."""
    expires_s: float | None = None
    """How long a goal may go without being renewed before it is zero; None where it is as its topic has it."""
    trained_minimum: tuple[float, ...] | None = None
    """Smallest value of a goal that was asked in training per element, in `unit`; None where nothing was asked."""
    trained_maximum: tuple[float, ...] | None = None
    """Largest value that was asked."""
    trained_around: str | None = None
    """The reading of the same quantity, as it is when the policy starts, that the trained range is about; None where
    the range is of the goal itself."""
    trained_latency_s: float | None = None
    """Longest time from this reading's sample to its arrival that training has seen, s; None where only the contract's
    whole latency is known."""
    max_still_s: float | None = None
    """Time in which at least one element changes at rest too, by the sensor's noise; None for what may stand still,
    such as an encoder of coarse steps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command(CommandInterface):
    """One command, and its limits. A tuple has one entry per element of the last axis."""

    max_rate: tuple[float, ...] = dataclasses.field()
    safe: tuple[float, ...] = dataclasses.field()
    standby: tuple[float, ...] = dataclasses.field()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What a robot's readings and commands are held to.

    Raises:
        InconsistentContract: two fields contradict each other, such as an order of 3 names for 4 elements.
    """

    control_period_s: float
    signals: tuple[Signal, ...]
    commands: tuple[Command, ...]
    joints: Mapping[str, Joint] = dataclasses.field(default_factory=dict)
    """Joints by name; empty for a robot without joints."""
    safety: Safety | None = None
    """What commands are held to beyond range and rate; None for nothing more."""

    def __post_init__(self):
        check_positive("", self, "control_period_s")
        for path, signal in paths("signals", self.signals):
            check_order(path, signal)
            check_image(path, signal)
            check_range(path, signal)
            check_trained_range(path, signal)
            check_trained_around(path, signal, self.signals)
            check_expiry(path, signal)
            check_length(path, signal, "max_jump")
            check_still(path, signal)
            check_positive(path, signal, "max_jump", "max_age_s", "max_still_s", "expires_s")
        for path, command in paths("commands", self.commands):
            check_order(path, command)
            check_range(path, command)
            check_length(path, command, "max_rate")
            check_inside_range(path, command, "safe")
            check_inside_range(path, command, "standby")
            check_transition_rate(path, command)
            check_positive(path, command, "max_rate", "transition_rate")
            self._check_start(path, command)
        check_joints(self.joints)
        check_safety(self)

    def _check_start(self, path: str, command: Command) -> None:
        names = [signal.name for signal in self._measuring(command)]
        if command.transition_rate is not None and len(names) > 1:
            problem = f"{text(tuple(names))} all measure it, so where it starts from is not clear"
            raise InconsistentContract(f"{path}.transition_rate", problem)

    def _measuring(self, command: Command) -> list[Signal]:
        same = [signal for signal in self.signals if same_quantity(signal, command)]
        return [signal for signal in same if signal.max_age_s is not None]  # a goal measures nothing

    def measured(self, command: Command) -> Signal | None:
        """The reading of what `command` sets, such as the joint positions for their targets; None when there is none.

        It is the one reading of the same shape, unit, frame and order.
        """
        return next(iter(self._measuring(command)), None)

    def measured_rate(self, command: Command) -> Signal | None:
        """The reading of how fast what `command` sets changes, such as the joint velocities; None when there is none.

        It is the first reading of the command's unit per second with the same shape, frame and order.
        """
        rate = dataclasses.replace(command, unit=f"{command.unit}/s")
        return next(iter(self._measuring(rate)), None)


def limits_of(robot: RobotInterface) -> Limits:
    """The limits that a robot announces.

    Raises:
        ContractError: it does not say one of them; the message starts with the JSON path.
        InconsistentContract: two contradict each other.
    """
    for path, signal in paths("signals", robot.signals):
        _require(path, signal, ("minimum", "maximum", "max_jump"))
    for path, command in paths("commands", robot.commands):
        _require(path, command, ("max_rate", "safe", "standby"))
    return Limits(
        control_period_s=robot.control_period_s,
        signals=tuple(narrowed(Signal, signal) for signal in robot.signals),
        commands=tuple(narrowed(Command, command) for command in robot.commands),
        joints=dict(robot.joints),
        safety=robot.safety,
    )


def _require(path: str, item: Any, fields: tuple[str, ...]) -> None:
    for field in fields:
        if getattr(item, field) is None:
            problem = f"the robot does not announce it for {item.name}, and nobody drives it without"
            raise ContractError(f"{path}.{field}", problem)
