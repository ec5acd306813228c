"""The settings of a policy node as ROS 2 parameters: the same dataclass as on the command line, typed and bounded.

What a launch file or a file of parameters says comes before what the command line says.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from isthmus_deploy.ros.node.policy_node import Config
from isthmus_deploy.ros.node.within import Within, bounds
from isthmus_deploy.ros.ros2 import Refusal

_TYPES: dict[Any, Parameter.Type] = {
    bool: Parameter.Type.BOOL,
    int: Parameter.Type.INTEGER,
    float: Parameter.Type.DOUBLE,
    str: Parameter.Type.STRING,
    Path: Parameter.Type.STRING,
    tuple[Path, ...]: Parameter.Type.STRING_ARRAY,
    tuple[int, ...]: Parameter.Type.INTEGER_ARRAY,
}
_FOREIGN = ("use_sim_time", "start_type_description_service", "qos_overrides.")
"""Parameters of every node, or how their names begin."""
# What belongs to the process and not to a policy, which it may change.
_READ_ONLY = ("managed", "realtime", "cpus")
_OF_ROS = ("namespace",)
"""What ROS 2 has ways of its own to say."""


def declare(node: Node, config: Config) -> None:
    """Declare them, with what the command line says for defaults.

    Raises:
        Refusal: a value that was given is of another type or out of bounds, or a name is unknown.
    """
    kinds, within = _kinds(), bounds(Config)
    _check_names(node, kinds)
    for name, kind in kinds.items():
        descriptor = ParameterDescriptor(read_only=name in _READ_ONLY, **_range(within.get(name)))
        value = _to_ros(getattr(config, name))
        try:
            node.declare_parameter(name, _TYPES[kind] if value is None else value, descriptor)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise Refusal(f"parameter {name}: {error}") from error


def read(node: Node, config: Config) -> Config:
    """The settings as the parameters have them now. Raises Refusal where they contradict each other."""
    values = {name: _value(node, name, kind, getattr(config, name)) for name, kind in _kinds().items()}
    try:
        return dataclasses.replace(config, **values)
    except ValueError as error:
        raise Refusal(f"parameters: {error}") from error


def hold(node: Node, config: Config, in_use: Callable[[], bool]) -> None:
    """Refuse to set them while they are `in_use`, and to what they cannot be together."""
    kinds = _kinds()

    def check(parameters: Sequence[Parameter]) -> SetParametersResult:
        own = {each.name: each for each in parameters if each.name in kinds}
        if own and in_use():
            reason = f"{', '.join(own)}: read when the node is configured, so clean it up first"
            return SetParametersResult(successful=False, reason=reason)
        values = {name: _from_ros(kinds[name], each.value) for name, each in own.items()}
        try:
            dataclasses.replace(read(node, config), **values)
        except (Refusal, ValueError) as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)


def _kinds() -> dict[str, Any]:
    """Name -> type: one that `_TYPES` has."""
    hints = typing.get_type_hints(Config, include_extras=True)
    return {name: _bare(hint) for name, hint in hints.items() if name not in _OF_ROS}


def _bare(hint: Any) -> Any:
    """A type without its notes, and without None; str for a choice of words."""
    if get_origin(hint) is Literal:
        return str
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if get_origin(hint) in (types.UnionType, typing.Union):
        (kind,) = (each for each in get_args(hint) if each is not type(None))
        return _bare(kind)
    return hint


def _range(within: Within | None) -> dict[str, Any]:
    if within is None:
        return {}
    if isinstance(within.least, int):
        return {"integer_range": [IntegerRange(from_value=int(within.least), to_value=int(within.most), step=1)]}
    return {"floating_point_range": [FloatingPointRange(from_value=within.least, to_value=within.most)]}


def _value(node: Node, name: str, kind: Any, otherwise: Any) -> Any:
    try:
        return _from_ros(kind, node.get_parameter(name).value)
    except ParameterUninitializedException:
        return otherwise


def _from_ros(kind: Any, value: Any) -> Any:
    if kind == tuple[Path, ...]:
        return tuple(map(Path, value))
    if kind == tuple[int, ...]:
        return tuple(value)
    return Path(value) if kind is Path else value


def _to_ros(value: Any) -> Any:
    """As `declare_parameter` takes it; None for nothing, which has a type but no value."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_to_ros(each) for each in value] or None
    return value


def _check_names(node: Node, known: dict[str, Parameter.Type]) -> None:
    # rclpy takes a value for a name that nobody declares without a word, and has no public way to list them.
    given = node._parameter_overrides  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    unknown = [name for name in given if name not in known and not name.startswith(_FOREIGN)]
    if unknown:
        raise Refusal(f"no parameter is called {', '.join(unknown)}; there are {', '.join(sorted(known))}")
