"""The contract between a policy graph and a robot: names, shapes, units, frames, orders, limits, timing, origin.

It travels as JSON in the policy file and, in its short form (`RobotInterface`), on the robot's own topic. The published
`contract.schema.json` is the file that `from_json` validates against, so the two cannot disagree.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from isthmus_deploy.schema import CONTRACT_VERSION, ContractError, parse

_RELATIVE_TOLERANCE = 1e-6  # a robot that keeps its numbers in float32 still matches


class InconsistentContract(ContractError):  # noqa: N818 (reads as what it is)
    """Each field is valid by itself (the schema accepts the document), but two of them contradict each other."""


class ContractMismatch(ValueError):  # noqa: N818
    """A robot is not the one that the contract was made for; `differences` lists every line that differs."""

    def __init__(self, differences: Sequence[str]):
        super().__init__("the robot does not match the policy's contract:\n  " + "\n  ".join(differences))
        self.differences = tuple(differences)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signal:
    """One raw reading that the graph takes, and the bounds outside which it is implausible.

    A tuple "per element" has one entry per element of the last axis, named by `order`.
    """

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
    minimum: tuple[float, ...]
    """Smallest plausible value per element, in `unit`."""
    maximum: tuple[float, ...]
    """Largest plausible value per element, in `unit`."""
    max_jump: tuple[float, ...]
    """Largest plausible change in one control period per element, in `unit`."""
    max_age_s: float | None
    """Age at which the reading is stale; None for one that stays valid until replaced, such as a goal."""
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """One command that the graph gives, and its limits. A tuple has one entry per element of the last axis."""

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
    max_rate: tuple[float, ...]
    """Largest change, in `unit` per second."""
    safe: tuple[float, ...]
    """Sent when stopped or in fault, in `unit`."""
    standby: tuple[float, ...]
    """Sent in stand-by and at the start of the ramp-in, in `unit`."""
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """One tensor that the graph hands to its own next step (input `memory_<name>`, output `next_memory_<name>`)."""

    name: str
    shape: tuple[int, ...]
    """Shape without the batch axis."""
    order: str
    """Meaning of the axes, such as "oldest first"."""
    initial: float | tuple
    """Value after a reset: one number for all elements, or nested tuples of `shape`."""
    dtype: str = "float32"


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
class Provenance:
    """Where the policy came from."""

    task: str
    code_revision: str
    seed: int
    data: str | None
    """Demonstrations it was trained on; None for none."""
    evaluation: Mapping[str, Any]
    """Measured scores as JSON values, such as `{"episodes": 500, "success": [low, mean, high]}`."""
    created: str
    """ISO 8601 time of the export."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SignalInterface:
    """A reading that a robot gives; the fields are those of `Signal`."""

    name: str
    shape: tuple[int, ...]
    unit: str
    frame: str
    order: tuple[str, ...]
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommandInterface:
    """A command that a robot takes; the fields are those of `Command`."""

    name: str
    shape: tuple[int, ...]
    unit: str
    frame: str
    order: tuple[str, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    dtype: str = "float32"


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
    version: int = CONTRACT_VERSION

    def __post_init__(self):
        for path, item in _paths("signals", self.signals) + _paths("commands", self.commands):
            _check_order(path, item)
        for path, command in _paths("commands", self.commands):
            _check_range(path, command)
        _check_joints(self.joints)
        _check_unique([("signals", signal.name) for signal in self.signals])
        _check_unique([("commands", command.name) for command in self.commands])

    def to_json(self) -> str:
        """JSON text that `from_json` reads back to an equal object."""
        return _to_json(self, "RobotInterface")

    @classmethod
    def from_json(cls, text: str) -> "RobotInterface":
        """Read what `to_json` wrote.

        Raises:
            ContractError: not JSON, not of this form (the message names the JSON path), or of a newer version.
        """
        document = parse(text, "RobotInterface")
        return cls(
            version=int(document["version"]),
            robot=document["robot"],
            control_period_s=document["control_period_s"],
            signals=tuple(_build(SignalInterface, item) for item in document["signals"]),
            commands=tuple(_build(CommandInterface, item) for item in document["commands"]),
            joints={name: Joint(**joint) for name, joint in document["joints"].items()},
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contract:
    """Everything a robot must know of a policy.

    Raises:
        InconsistentContract: two fields contradict each other, such as an order of 3 names for 4 elements.
    """

    robot: str
    """Name of the robot, such as "crazyflie"."""
    control_period_s: float
    trained_latency_s: float
    """Sensor-to-motor latency that the policy was trained for."""
    signals: tuple[Signal, ...]
    commands: tuple[Command, ...]
    memory: tuple[Memory, ...]
    joints: Mapping[str, Joint]
    """Joints by name; empty for a robot without joints."""
    provenance: Provenance
    version: int = CONTRACT_VERSION

    def __post_init__(self):
        for path, signal in _paths("signals", self.signals):
            _check_order(path, signal)
            _check_range(path, signal)
            _check_length(path, signal, "max_jump")
        for path, command in _paths("commands", self.commands):
            _check_order(path, command)
            _check_range(path, command)
            _check_length(path, command, "max_rate")
            _check_inside_range(path, command, "safe")
            _check_inside_range(path, command, "standby")
        for path, memory in _paths("memory", self.memory):
            _check_initial(path, memory)
        _check_joints(self.joints)
        _check_unique(self._graph_names())

    def _graph_names(self) -> list[tuple[str, str]]:
        names = [("signals", signal.name) for signal in self.signals]
        names += [("commands", command.name) for command in self.commands]
        names += [("memory", f"memory_{memory.name}") for memory in self.memory]
        names += [("memory", f"next_memory_{memory.name}") for memory in self.memory]
        return names

    def to_json(self) -> str:
        """JSON text that `from_json` reads back to an equal object, at full float precision.

        Raises:
            ContractError: a field holds what the schema does not allow.
        """
        return _to_json(self, "Contract")

    @classmethod
    def from_json(cls, text: str) -> "Contract":
        """Read what `to_json` wrote.

        Raises:
            ContractError: not JSON, not a contract (the message names the JSON path), or of a newer version.
        """
        document = parse(text, "Contract")
        provenance = document["provenance"]
        return cls(
            version=int(document["version"]),
            robot=document["robot"],
            control_period_s=document["control_period_s"],
            trained_latency_s=document["trained_latency_s"],
            signals=tuple(_build(Signal, item) for item in document["signals"]),
            commands=tuple(_build(Command, item) for item in document["commands"]),
            memory=tuple(_build(Memory, item) for item in document["memory"]),
            joints={name: Joint(**joint) for name, joint in document["joints"].items()},
            provenance=Provenance(**{**provenance, "seed": int(provenance["seed"])}),
        )

    def interface(self) -> RobotInterface:
        """The interface of the robot that this contract was made for."""
        return RobotInterface(
            robot=self.robot,
            control_period_s=self.control_period_s,
            signals=tuple(_narrow(SignalInterface, signal) for signal in self.signals),
            commands=tuple(_narrow(CommandInterface, command) for command in self.commands),
            joints=dict(self.joints),
        )

    def differences(self, robot: RobotInterface) -> list[str]:
        """Every line in which `robot` is not what the contract needs; empty when it fits.

        The robot may give more signals and have more joints than the policy uses, and may take a wider range of
        commands. Its set of commands must be the same: what nobody commands, nobody stops.
        """
        lines = _value_differences("robot", self.robot, robot.robot)
        lines += _value_differences("control_period_s", self.control_period_s, robot.control_period_s)
        own = self.interface()
        lines += _item_differences("signals", own.signals, robot.signals, _IDENTITY)
        lines += _item_differences("commands", own.commands, robot.commands, _IDENTITY)
        lines += _range_differences(own.commands, robot.commands)
        commanded = {command.name for command in own.commands}
        for command in robot.commands:
            if command.name not in commanded:
                lines.append(f"commands.{command.name}: robot expects it, contract does not give it")
        return lines + _joint_differences(own.joints, robot.joints)

    def check_robot(self, robot: RobotInterface) -> None:
        """Refuse a robot that does not fit.

        Raises:
            ContractMismatch: with every difference, one a line.
        """
        differences = self.differences(robot)
        if differences:
            raise ContractMismatch(differences)


_IDENTITY = ("shape", "unit", "frame", "order", "dtype")
_Item = TypeVar("_Item")


# --- comparing with a robot ---


def _value_differences(path: str, contract: Any, robot: Any) -> list[str]:
    if _same(contract, robot):
        return []
    return [f"{path}: contract {_text(contract)}, robot {_text(robot)}"]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float | int) and isinstance(b, float | int):
        return math.isclose(a, b, rel_tol=_RELATIVE_TOLERANCE)
    return a == b


def _text(value: Any) -> str:
    return f"({', '.join(map(str, value))})" if isinstance(value, tuple) else str(value)


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


def _narrow(target: Callable[..., _Item], item: Any) -> _Item:
    return target(**{field.name: getattr(item, field.name) for field in dataclasses.fields(target)})  # type: ignore[arg-type]


# --- consistency between fields ---


def _paths(group: str, items: Sequence[_Item]) -> list[tuple[str, _Item]]:
    return [(f"{group}[{index}]", item) for index, item in enumerate(items)]


def _check_order(path: str, item: Any) -> None:
    if not item.shape:
        raise InconsistentContract(f"{path}.shape", "needs at least one axis; a single number has the shape (1,)")
    if len(item.order) != item.shape[-1]:
        raise InconsistentContract(f"{path}.order", f"{len(item.order)} names for a last axis of {item.shape[-1]}")
    if len(set(item.order)) != len(item.order):
        raise InconsistentContract(f"{path}.order", f"a name stands twice in {_text(item.order)}")


def _check_length(path: str, item: Any, field: str) -> None:
    values = getattr(item, field)
    if len(values) != len(item.order):
        raise InconsistentContract(f"{path}.{field}", f"{len(values)} values for {len(item.order)} elements")


def _check_range(path: str, item: Any) -> None:
    _check_length(path, item, "minimum")
    _check_length(path, item, "maximum")
    for name, low, high in zip(item.order, item.minimum, item.maximum, strict=True):
        if not low < high:
            raise InconsistentContract(f"{path}.minimum", f"{low} for {name} is not below its maximum {high}")


def _check_inside_range(path: str, command: Command, field: str) -> None:
    _check_length(path, command, field)
    limits = zip(command.order, command.minimum, getattr(command, field), command.maximum, strict=True)
    for name, low, value, high in limits:
        if not low <= value <= high:
            raise InconsistentContract(f"{path}.{field}", f"{value} for {name} is outside [{low}, {high}]")


def _check_initial(path: str, memory: Memory) -> None:
    if isinstance(memory.initial, tuple) and _nested_shape(f"{path}.initial", memory.initial) != memory.shape:
        raise InconsistentContract(f"{path}.initial", f"does not have the shape {_text(memory.shape)}")


def _nested_shape(path: str, value: float | tuple) -> tuple[int, ...]:
    if not isinstance(value, tuple):
        return ()
    shapes = {_nested_shape(path, item) for item in value}
    if len(shapes) > 1:
        raise InconsistentContract(path, "rows of different lengths")
    return (len(value), *next(iter(shapes), ()))


def _check_joints(joints: Mapping[str, Joint]) -> None:
    for name, joint in joints.items():
        if not joint.position_min < joint.position_max:
            problem = f"{joint.position_min} is not below position_max {joint.position_max}"
            raise InconsistentContract(f"joints.{name}.position_min", problem)


def _check_unique(names: Sequence[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for group, name in names:
        if name in seen:
            raise InconsistentContract(group, f"the graph name {name} is taken already (by {seen[name]})")
        seen[name] = group


# --- JSON ---


def _build(target: Callable[..., _Item], document: Mapping[str, Any]) -> _Item:
    fields = {key: _frozen(value) for key, value in document.items()}
    fields["shape"] = tuple(int(size) for size in document["shape"])
    return target(**fields)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _to_json(item: Any, definition: str) -> str:
    try:
        text = json.dumps(dataclasses.asdict(item), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ContractError("", f"cannot be written as JSON: {error}") from error
    parse(text, definition)  # nothing is written that could not be read
    return text
