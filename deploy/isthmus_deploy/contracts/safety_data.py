"""What a robot asks of the safety chain beyond the range and rate of its commands; all of it is optional.

It stands in the robot's description, is announced with it, and travels in the contract as `safety`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from isthmus_deploy.contracts.schema import as_json, frozen, validate

_Item = TypeVar("_Item")
Vector3 = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommandSafety:
    """How one command may move; a tuple has one entry per element of its last axis."""

    command: str
    """Name of the command."""
    max_acceleration: tuple[float, ...] | None = None
    """Largest change of the command's rate, in its unit per s²; None for any."""
    soft_minimum: tuple[float, ...] | None = None
    """The lower end that is approached smoothly, in the command's unit; None for its `minimum`."""
    soft_maximum: tuple[float, ...] | None = None
    """The upper end that is approached smoothly; None for its `maximum`."""
    approach_rate: float | None = None
    """γ, 1/s: a soft end is approached at γ times the distance to it at most. None: the range simply ends."""
    limit_effort: bool = False
    """Whether a joint's target is held to where its actuator's effort ends; `effort` says whom that does no good."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Link:
    """One revolute joint of a kinematic chain, in the frame of the joint before it (the first: in the base)."""

    joint: str
    """Its name in the command's order."""
    offset: Vector3
    """Where the joint is, m."""
    axis: Vector3
    """Unit vector that it turns about, in its own frame."""
    orientation: Quaternion = (1.0, 0.0, 0.0, 0.0)
    """How its frame is turned when the joint is at zero, wxyz."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Box:
    """A box along the axes of the base, by its least and greatest corner, m."""

    minimum: Vector3
    maximum: Vector3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sphere:
    """A ball, m in the frame of the base."""

    center: Vector3
    radius: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class HalfSpace:
    """The points p with normal·p < offset, m in the frame of the base; `normal` is a unit vector that points out."""

    normal: Vector3
    offset: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tool:
    """A point at the end of a chain of joints, and where the joints' targets may put it."""

    name: str
    command: str
    """Name of the command that holds the targets of the joints, in rad."""
    links: tuple[Link, ...]
    """From the base to the tool."""
    point: Vector3
    """The point in the frame of the last joint, m."""
    approach_rate: float
    """γ, 1/s: the point approaches a border at γ times the distance to it at most."""
    workspace: Box | None = None
    """Where it stays; None for anywhere."""
    boxes: tuple[Box, ...] = ()
    """Where it never goes, as are spheres and half-spaces."""
    spheres: tuple[Sphere, ...] = ()
    half_spaces: tuple[HalfSpace, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Safety:
    """What commands and tools are held to."""

    commands: tuple[CommandSafety, ...] = ()
    tools: tuple[Tool, ...] = ()


def safety_of(document: Mapping[str, Any] | None) -> Safety | None:
    """What a document of the schema's form `Safety` says; None for None. Raises ContractError for one of another form:
    a limit that is misspelt would hold nothing."""
    if document is None:
        return None
    validate(as_json(document, "Safety"), "Safety", "safety")
    return Safety(
        commands=tuple(_record(CommandSafety, item) for item in document.get("commands", ())),
        tools=tuple(_tool(item) for item in document.get("tools", ())),
    )


def _tool(document: Mapping[str, Any]) -> Tool:
    parts: dict[str, Any] = {
        field: tuple(_record(target, item) for item in document.get(field, ()))
        for field, target in (("links", Link), ("boxes", Box), ("spheres", Sphere), ("half_spaces", HalfSpace))
    }
    workspace = document.get("workspace")
    return _record(Tool, {**document, **parts, "workspace": workspace and _record(Box, workspace)})


def _record(target: Callable[..., _Item], document: Mapping[str, Any]) -> _Item:
    return target(**{name: frozen(value) for name, value in document.items()})
