"""What a robot says of itself, and how that differs from what a policy needs.

It is the short form of the contract; the robot announces it as JSON on its own topic.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from isthmus_deploy.contracts.consistency import (
    check_image,
    check_joints,
    check_length,
    check_order,
    check_range,
    check_unique,
    paths,
    text,
)
from isthmus_deploy.contracts.safety_data import Safety, safety_of
from isthmus_deploy.contracts.schema import CONTRACT_VERSION, build, parse, write

_Item = TypeVar("_Item")
_RELATIVE_TOLERANCE = 1e-6  # a robot that keeps its numbers in float32 still matches
_IDENTITY = ("shape", "unit", "frame", "order", "dtype")


class ContractMismatch(ValueError):  # noqa: N818
    """A robot is not the one that the contract was made for; `differences` lists every line that differs."""

    def __init__(self, differences: Sequence[str]):
        super().__init__("the robot does not match the policy's contract:\n  " + "\n  ".join(differences))
        self.differences = tuple(differences)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Joint:
    """Gains, limits and default pose of one joint (rad or m, N·m or N, seconds)."""

    stiffness: float
    damping: float
    position_min: float
    position_max: float
    velocity_limit: float
    effort_limit: float
    default_position: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class SignalInterface:
    """A reading that a robot gives, as the input of a graph that takes it."""

    name: str
    """Name of the graph's input."""
    shape: tuple[int, ...]
    """Shape without the batch axis."""
    unit: str
    """SI unit; "1" for a pure number."""
    frame: str
    """Frame of the elements, such as "world", "body" or, for an orientation, "world_from_body"."""
    order: tuple[str, ...]
    """What each element of the last axis is: axis, quaternion component or joint name."""
    dtype: str = "float32"
    """Type of the elements: "float32", or "uint8" for an RGB image (height, width, 3)."""
    minimum: tuple[float, ...] | None = None
    """Smallest plausible value per element, in `unit`; here and below, None where the robot does not say."""
    maximum: tuple[float, ...] | None = None
    """Largest plausible value per element, in `unit`."""
    max_jump: tuple[float, ...] | None = None
    """Largest plausible change in one control period per element, in `unit`."""
    max_age_s: float | None = None
    """Age at which the reading is stale."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommandInterface:
    """A command that a robot takes, as the output of a graph that gives it; a tuple has one entry per element of the
    last axis."""

    name: str
    """Name of the graph's output."""
    shape: tuple[int, ...]
    """Shape without the batch axis."""
    unit: str
    """SI unit; "1" for a pure number."""
    frame: str
    """Frame of the elements, such as "joint" or "rotor"."""
    order: tuple[str, ...]
    """What each element of the last axis is, usually joint names."""
    minimum: tuple[float, ...]
    """Smallest value that is ever sent, in `unit`."""
    maximum: tuple[float, ...]
    """Largest value that is ever sent, in `unit`."""
    dtype: str = "float32"
    max_rate: tuple[float, ...] | None = None
    """Largest change, in `unit` per second; here and below, None where the robot does not say."""
    safe: tuple[float, ...] | None = None
    """Sent when stopped or in fault, in `unit`."""
    standby: tuple[float, ...] | None = None
    """Sent in stand-by and at the start of the ramp-in, in `unit`."""
    transition_rate: tuple[float, ...] | None = None
    """How fast stand-by (after arming) and safe (after a stop or a fault) are approached, in `unit` per second: all
    elements arrive together, none faster than this. None: stand-by at `max_rate`, safe at once."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RobotInterface:
    """What a robot says of itself.

    Raises:
        InconsistentContract: two fields contradict each other.
    """

    robot: str
    control_period_s: float
    signals: tuple[SignalInterface, ...]
    commands: tuple[CommandInterface, ...]
    joints: Mapping[str, Joint]
    safety: Safety | None = None
    """What its commands are held to beyond range and rate; None where it does not say."""
    version: int = CONTRACT_VERSION

    def __post_init__(self):
        for path, item in paths("signals", self.signals) + paths("commands", self.commands):
            check_order(path, item)
        for path, signal in paths("signals", self.signals):
            check_image(path, signal)
            _check_given(path, signal, ("minimum", "maximum", "max_jump"))
        for path, command in paths("commands", self.commands):
            check_range(path, command)
            _check_given(path, command, ("max_rate", "safe", "standby", "transition_rate"))
        check_joints(self.joints)
        check_unique([("signals", signal.name) for signal in self.signals])
        check_unique([("commands", command.name) for command in self.commands])

    def to_json(self) -> str:
        """JSON text that `from_json` reads back to an equal object."""
        return write(self, "RobotInterface")

    @classmethod
    def from_json(cls, text: str) -> "RobotInterface":
        """Read what `to_json` wrote.

        Raises:
            ContractError: not JSON, not of this form (the message names the JSON path), or of another version.
        """
        document = parse(text, "RobotInterface")
        return cls(
            version=int(document["version"]),
            robot=document["robot"],
            control_period_s=document["control_period_s"],
            signals=tuple(build(SignalInterface, item) for item in document["signals"]),
            commands=tuple(build(CommandInterface, item) for item in document["commands"]),
            joints={name: Joint(**joint) for name, joint in document["joints"].items()},
            safety=safety_of(document.get("safety")),
        )


def _check_given(path: str, item: Any, fields: Sequence[str]) -> None:
    """What the robot says has a value for each element."""
    for field in fields:
        if getattr(item, field) is not None:
            check_length(path, item, field)


class Described(Protocol):
    """A robot as its description has it; what is in an interface has the same name there."""

    @property
    def name(self) -> str: ...
    @property
    def control_period_s(self) -> float: ...
    @property
    def signals(self) -> Sequence[Any]: ...
    @property
    def commands(self) -> Sequence[Any]: ...
    @property
    def joints(self) -> Mapping[str, Any]: ...
    @property
    def safety(self) -> Mapping[str, Any] | None: ...


def interface_of(robot: Described) -> RobotInterface:
    """What a robot says of itself, by its description."""
    return RobotInterface(
        robot=robot.name,
        control_period_s=robot.control_period_s,
        signals=tuple(narrowed(SignalInterface, signal) for signal in robot.signals),
        commands=tuple(narrowed(CommandInterface, command) for command in robot.commands),
        joints={name: narrowed(Joint, joint) for name, joint in robot.joints.items()},
        safety=safety_of(robot.safety),
    )


def narrowed(target: Callable[..., _Item], item: Any, **known: Any) -> _Item:
    """A `target` (a dataclass) made of those of its fields that `item` has too, and of what is `known`."""
    names = {field.name for field in dataclasses.fields(target)} - set(known)  # type: ignore[arg-type]
    return target(**{name: getattr(item, name) for name in names if hasattr(item, name)}, **known)


def differences(needed: RobotInterface, robot: RobotInterface) -> list[str]:
    """Every line in which `robot` is not the `needed` one; empty when it fits.

    The robot may give more signals and have more joints than are needed, and may take commands in a wider range and
    that change faster. Its set of commands must be the same: what nobody commands, nobody stops.
    """
    lines = _value_differences("robot", needed.robot, robot.robot)
    lines += _value_differences("control_period_s", needed.control_period_s, robot.control_period_s)
    lines += _item_differences("signals", needed.signals, robot.signals, _IDENTITY)
    lines += _item_differences("commands", needed.commands, robot.commands, _IDENTITY)
    lines += _range_differences(needed.commands, robot.commands)
    commanded = {command.name for command in needed.commands}
    for command in robot.commands:
        if command.name not in commanded:
            lines.append(f"commands.{command.name}: robot expects it, contract does not give it")
    return lines + _joint_differences(needed.joints, robot.joints)


def _value_differences(path: str, contract: Any, robot: Any) -> list[str]:
    if _same(contract, robot):
        return []
    return [f"{path}: contract {text(contract)}, robot {text(robot)}"]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float | int) and isinstance(b, float | int):
        return math.isclose(a, b, rel_tol=_RELATIVE_TOLERANCE)
    return a == b


def _item_differences(group: str, needed: Sequence, offered: Sequence, fields: Sequence[str]) -> list[str]:
    by_name = {item.name: item for item in offered}
    lines = []
    for item in needed:
        if item.name not in by_name:
            lines.append(f"{group}.{item.name}: contract needs it, robot has only {', '.join(sorted(by_name))}")
            continue
        for field in fields:
            path = f"{group}.{item.name}.{field}"
            lines += _value_differences(path, getattr(item, field), getattr(by_name[item.name], field))
    return lines


def _range_differences(needed: Sequence[CommandInterface], offered: Sequence[CommandInterface]) -> list[str]:
    by_name = {command.name: command for command in offered}
    lines = []
    for own in needed:
        robot = by_name.get(own.name)
        if robot is None or robot.order != own.order:
            continue  # already said
        limits = zip(own.minimum, own.maximum, robot.minimum, robot.maximum, strict=True)
        for name, (low, high, robot_low, robot_high) in zip(own.order, limits, strict=True):
            path = f"commands.{own.name}"
            if low < robot_low and not _same(low, robot_low):
                lines.append(f"{path}.minimum: contract {low} for {name}, robot {robot_low}")
            if high > robot_high and not _same(high, robot_high):
                lines.append(f"{path}.maximum: contract {high} for {name}, robot {robot_high}")
        rates = zip(own.order, own.max_rate, robot.max_rate, strict=True) if own.max_rate and robot.max_rate else ()
        for name, rate, robot_rate in rates:
            if rate > robot_rate and not _same(rate, robot_rate):
                lines.append(f"commands.{own.name}.max_rate: contract {rate} for {name}, robot {robot_rate}")
    return lines


def _joint_differences(needed: Mapping[str, Joint], offered: Mapping[str, Joint]) -> list[str]:
    lines = []
    for name, joint in needed.items():
        if name not in offered:
            known = ", ".join(sorted(offered)) or "none"
            lines.append(f"joints.{name}: contract needs it, robot has only {known}")
            continue
        for field in dataclasses.fields(Joint):
            path = f"joints.{name}.{field.name}"
            lines += _value_differences(path, getattr(joint, field.name), getattr(offered[name], field.name))
    return lines
