"""A hardware profile: how one robot speaks ROS 2, where that is not as the contract has it. It is read without ROS.

The published `profile.schema.json` is what a profile's YAML is validated against.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.limits import Command, Signal
from isthmus_deploy.contracts.robot_interface import CommandInterface, Joint, RobotInterface, SignalInterface
from isthmus_deploy.contracts.schema import ContractError, validate

_PER_UNIT = {"rad": 1.0, "m": 1.0, "deg": 180.0 / math.pi}  # of the driver's unit in the contract's
_UNITS = {"rad": ("rad", "deg"), "m": ("m",)}  # of a driver, by the contract's unit of a position
_JOINT_FRAME = "joint"
_LONGEST = 100_000  # characters: hundreds of joints
_DEEPEST = 8  # collections within each other; a profile has four
# Plain words of YAML's core schema (YAML 1.2.2, 10.3.2), but for octal and hexadecimal numbers.
_WORDS: dict[str, Any] = {"": None, "null": None, "~": None, "true": True, "false": False}
_WORDS |= {".nan": math.nan, ".inf": math.inf, "-.inf": -math.inf}
_WHOLE = re.compile(r"[-+]?[0-9]{1,15}")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")


class ProfileError(ValueError):
    """A profile cannot be used; the message says which line of it, and what would be valid."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TopicProfile:
    """What differs of a topic; None where nothing does."""

    topic: str | None = None
    """Its name."""
    type: str | None = None
    """Its type, such as "sensor_msgs/CompressedImage"."""
    reliability: str | None = None
    """"reliable" or "best_effort"."""
    mounting: tuple[float, ...] | None = None
    """Orientation of the sensor in the body's frame (4,), wxyz."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JointProfile:
    """One joint: the driver's number is `sign` times the contract's plus `offset`, in the driver's `unit`.

    Gains and limits are in the contract's units and signs; None where the profile does not state them.
    """

    name: str
    sign: int = 1
    unit: str = "rad"
    offset: float = 0.0
    stiffness: float | None = None
    damping: float | None = None
    position_min: float | None = None
    position_max: float | None = None
    velocity_limit: float | None = None
    effort_limit: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommandProfile:
    """Where a command goes; None where that is as usual."""

    topic: str | None = None
    type: str | None = None
    controller: str | None = None
    """Node of the controller, which is asked for its joints."""
    order: tuple[str, ...] | None = None
    """The driver's joints in the order of the message's elements."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """A robot on ROS 2. The mappings are by the usual name of the topic, and by the contract's names."""

    robot: str
    note: str | None = None
    topics: Mapping[str, TopicProfile] = dataclasses.field(default_factory=dict)
    joints: Mapping[str, JointProfile] = dataclasses.field(default_factory=dict)
    commands: Mapping[str, CommandProfile] = dataclasses.field(default_factory=dict)

    def to_json(self) -> str:
        """JSON text that `from_json` reads back to an equal object: what one process has read, another may be told."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """Read what `to_json` wrote."""
        return _profile(json.loads(text))

    def joint(self, name: str) -> JointProfile:
        """The joint of that name in the contract."""
        return self.joints.get(name) or JointProfile(name=name)

    def problems(self, contract: Contract) -> list[str]:
        """Every line in which the profile does not fit the contract; empty when it does."""
        interface = contract.interface()
        known = _joint_units(interface)
        lines = [
            f"joints.{name}: the policy has no such joint; its joints are {', '.join(known) or 'none'}"
            for name in self.joints
            if name not in known
        ]
        if self.joints:
            lines += [f"joints.{name}: missing, the policy needs it" for name in known if name not in self.joints]
        lines += [line for name in known if name in self.joints for line in _unit_problems(name, self, known[name])]
        commands = [command.name for command in contract.commands]
        lines += [
            f"commands.{name}: the policy gives no such command; it gives {', '.join(commands)}"
            for name in self.commands
            if name not in commands
        ]
        return lines + contract.differences(self.interface(contract))

    def interface(self, contract: Contract) -> RobotInterface:
        """The robot as the profile vouches for it: the contract's, with the profile's gains, and its limits on what is
        commanded."""
        needed = contract.interface()
        return dataclasses.replace(
            needed,
            robot=self.robot,
            commands=tuple(self._limited(command) for command in needed.commands),
            joints={name: self._geared(name, joint) for name, joint in needed.joints.items()},
        )

    def _geared(self, name: str, joint: Joint) -> Joint:
        stated = self.joint(name)
        given = {field: getattr(stated, field) for field in ("stiffness", "damping")}
        return dataclasses.replace(joint, **{field: value for field, value in given.items() if value is not None})

    def _limited(self, command: CommandInterface) -> CommandInterface:
        if command.frame != _JOINT_FRAME:
            return command
        bounds = [_bounds(self.joint(name), command.unit) for name in command.order]
        low = [own if stated is None else stated for own, (stated, _) in zip(command.minimum, bounds, strict=True)]
        high = [own if stated is None else stated for own, (_, stated) in zip(command.maximum, bounds, strict=True)]
        return dataclasses.replace(command, minimum=tuple(low), maximum=tuple(high))


def _bounds(joint: JointProfile, unit: str) -> tuple[float | None, float | None]:
    """The least and the most that a joint may be commanded, as far as its profile says."""
    if unit in _UNITS:
        return joint.position_min, joint.position_max
    most = joint.effort_limit if unit in ("N·m", "N") else joint.velocity_limit
    return (None, None) if most is None else (-most, most)


def _joint_units(interface: RobotInterface) -> dict[str, str]:
    """Joint -> unit of its position, of all that is read or commanded of joints."""
    items = [item for item in (*interface.signals, *interface.commands) if item.frame == _JOINT_FRAME]
    return {name: "m" if item.unit in ("m", "m/s", "N") else "rad" for item in items for name in item.order}


def _unit_problems(name: str, profile: Profile, unit: str) -> list[str]:
    valid, stated = _UNITS[unit], profile.joint(name).unit
    return [] if stated in valid else [f"joints.{name}.unit: {stated}, it must be {' or '.join(valid)}"]


class JointMap:
    """Between the contract's numbers of some joints and the driver's.

    Args:
        profile: Of the robot.
        item: A signal or command of joints.
    """

    def __init__(self, profile: Profile, item: SignalInterface | CommandInterface | Signal | Command) -> None:
        joints = [profile.joint(name) for name in item.order]
        self.names = tuple(joint.name for joint in joints)
        """What the driver calls them, in the order of `item`."""
        moves = item.unit not in ("N·m", "N")
        scale = [joint.sign * (_PER_UNIT[joint.unit] if moves else 1.0) for joint in joints]
        self._scale = np.array(scale)
        self._offset = np.array([joint.offset if item.unit in _UNITS else 0.0 for joint in joints])

    def to_driver(self, values: np.ndarray) -> np.ndarray:
        """The contract's numbers (n,) as the driver's."""
        return values * self._scale + self._offset

    def from_driver(self, values: np.ndarray) -> np.ndarray:
        """The driver's numbers (n,) as the contract's."""
        return (values - self._offset) / self._scale


def read_profile(path: Path) -> Profile:
    """Read a profile from a YAML file, or one that comes with the package by its name, such as "unitree_go2".

    Raises:
        ProfileError: the file cannot be read, is no YAML, or not what the schema asks for.
    """
    files = resources.files("isthmus_deploy.contracts.profiles").iterdir()
    shipped = {file.name.removesuffix(".yaml"): file for file in files if file.name.endswith(".yaml")}
    file, names = shipped.get(str(path), path), ", ".join(sorted(shipped))
    try:
        if not file.is_file():  # a pipe would be waited for
            raise ProfileError(f"{path}: cannot be read: no such file; profiles that need no file are {names}")
        with file.open(encoding="utf-8") as stream:
            text = stream.read(_LONGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: cannot be read: {error}; profiles that need no file are {names}") from error
    return parse_profile(text, str(path))


def parse_profile(text: str, source: str = "profile") -> Profile:
    """Read a profile from the text of a YAML file, which messages call `source`.

    Raises:
        ProfileError: as `read_profile`.
    """
    document = _load(text, source)
    try:
        validate(document, "Profile")
    except ContractError as error:
        raise ProfileError(f"{source}: {error}") from error
    profile = _profile(document)
    _check(profile, source)
    return profile


def _profile(document: Mapping[str, Any]) -> Profile:
    return Profile(
        robot=document["robot"],
        note=document.get("note"),
        topics={name: _item(TopicProfile, item) for name, item in document.get("topics", {}).items()},
        joints={name: _item(JointProfile, {"name": name, **item}) for name, item in document.get("joints", {}).items()},
        commands={name: _item(CommandProfile, item) for name, item in document.get("commands", {}).items()},
    )


def _load(text: str, source: str) -> Any:
    """The document as JSON would have it: text, numbers, true, false, null, lists and mappings whose keys are text.

    Of YAML this leaves out what surprises people, or can harm: dates, 010 for eight and 1:30 for ninety, tags, and
    aliases, of which a few lines can stand for gigabytes.
    """
    import yaml  # comes with rclpy

    if len(text) > _LONGEST:
        raise ProfileError(f"{source}: too long; a profile has at most {_LONGEST} characters")
    depth = 0
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            problem = _foreign(event, depth)
            if problem:
                raise ProfileError(f"{source}: line {event.start_mark.line + 1}: {problem}")
        node = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ProfileError(f"{source}: not YAML: {error}") from error
    return None if node is None else _value(node, source)


def _foreign(event: Any, depth: int) -> str | None:
    """What a profile has no use for, in words."""
    import yaml

    if isinstance(event, yaml.AliasEvent):
        return f"the alias *{event.anchor}: write out what it stands for"
    if getattr(event, "tag", None) is not None:
        return f"the tag {event.tag}: a profile has none"
    return "nested too deeply" if depth > _DEEPEST else None


def _value(node: Any, source: str) -> Any:
    if node.id == "sequence":
        return [_value(item, source) for item in node.value]
    if node.id == "scalar":
        return _scalar(node)
    document: dict[str, Any] = {}
    for key, item in node.value:
        line = f"{source}: line {key.start_mark.line + 1}"
        if key.id != "scalar":
            raise ProfileError(f"{line}: a key is a {key.id}; it must be a name")
        if key.value in document:
            raise ProfileError(f"{line}: {key.value} stands twice")
        document[key.value] = _value(item, source)
    return document


def _scalar(node: Any) -> Any:
    if node.style is not None:  # in quotes
        return node.value
    if node.value in _WORDS:
        return _WORDS[node.value]
    if not _NUMBER.fullmatch(node.value):
        return node.value
    return int(node.value) if _WHOLE.fullmatch(node.value) else float(node.value)


def _item(target: Any, document: Mapping[str, Any]) -> Any:
    return target(**{key: tuple(value) if isinstance(value, list) else value for key, value in document.items()})


def _check(profile: Profile, source: str) -> None:
    """Raise ProfileError for what a schema cannot say."""
    _check_unique([joint.name for joint in profile.joints.values()], f"{source}: joints")
    for name, topic in profile.topics.items():
        norm = math.hypot(*topic.mounting) if topic.mounting else 1.0
        if topic.mounting is not None and (len(topic.mounting) != 4 or abs(norm - 1.0) > 1e-3):
            raise ProfileError(f"{source}: topics.{name}.mounting: not a unit quaternion w x y z: {topic.mounting}")
    for name, command in profile.commands.items():
        if command.controller is not None and command.order is not None:
            raise ProfileError(f"{source}: commands.{name}: give the controller or the order, not both")
        _check_unique(command.order or (), f"{source}: commands.{name}.order")


def _check_unique(names: Sequence[str], where: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ProfileError(f"{where}: the driver's {', '.join(twice)} stands twice")
