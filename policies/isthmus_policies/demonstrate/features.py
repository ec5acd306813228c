"""A robot's signals and commands as the columns of a dataset, and back.

A column holds several signals one after the other, and an action all commands. Both directions are written here once,
for a robot's description and for what a robot says of itself over ROS 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.features import Feature
from isthmus_datasets.recording.robot import Observation, RobotFeatures
from isthmus_sim.description import RobotDescription
from isthmus_sim.specs import SignalSpec

STATE = "state"
"""The column of all readings that are numbers; LeRobot's name for it."""

Array = NDArray[Any]


class Part(Protocol):
    """A signal or a command: `shape` has no batch axis, and `order` names the elements of the last one."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def order(self) -> tuple[str, ...]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


def robot_features(robot: RobotDescription) -> RobotFeatures:
    """What datasets hold of a robot: its readings as the column "state" and as cameras, its commands as the action."""
    return RobotFeatures(
        robot_type=robot.name,
        columns={STATE: signal_column(_numbers(robot))},
        cameras={signal.name: (signal.shape[0], signal.shape[1]) for signal in _images(robot)},
        action=action_column(robot.commands),
    )


def signal_column(signals: Sequence[Part]) -> Feature:
    """The column of these signals, one after the other: SIGNAL.ELEMENT, with an index between them for each axis before
    the last."""
    names = [
        ".".join((signal.name, *map(str, index), element))
        for signal in signals
        for index in np.ndindex(signal.shape[:-1])
        for element in signal.order
    ]
    return _column(signals, names)


def action_column(commands: Sequence[Part]) -> Feature:
    """The action of these commands, one after the other. Elements have their own names, such as those of joints;
    COMMAND.ELEMENT where two commands share one."""
    shared = Counter(element for command in commands for element in command.order)
    names = [
        element if shared[element] == 1 else f"{command.name}.{element}"
        for command in commands
        for element in command.order
    ]
    return _column(commands, names)


def _column(parts: Sequence[Part], names: Sequence[str]) -> Feature:
    units = [part.unit for part in parts for _ in range(_size(part))]
    return Feature(dtype="float32", shape=(len(names),), names=tuple(names), info={"units": units})


def joined(parts: Sequence[Part], values: Mapping[str, Array]) -> NDArray[np.float32]:
    """Values by name, one after the other: a row of the parts' column."""
    return np.concatenate([np.ravel(values[part.name]) for part in parts], dtype=np.float32, casting="same_kind")


def split(parts: Sequence[Part], row: Array) -> dict[str, Array]:
    """The inverse of `joined`: views of the row by name, each of its shape. Raises ValueError for a row of another
    length, naming the parts."""
    sizes = [_size(part) for part in parts]
    if row.shape != (sum(sizes),):
        told = " + ".join(f"{size} of {part.name}" for part, size in zip(parts, sizes, strict=True))
        raise ValueError(f"a row has the shape {row.shape}, it must be ({sum(sizes)},): {told}")
    pieces = np.split(row, np.cumsum(sizes)[:-1])
    return {part.name: piece.reshape(part.shape) for part, piece in zip(parts, pieces, strict=True)}


def observation_parts(
    robot: RobotDescription, signals: Mapping[str, Array]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """All signals by name -> the columns and the images of an observation."""
    return {STATE: joined(_numbers(robot), signals)}, {signal.name: signals[signal.name] for signal in _images(robot)}


def signals_of(robot: RobotDescription, observation: Observation) -> dict[str, Array]:
    """The inverse of `observation_parts`: all signals by name. Raises ValueError where the observation is of another
    robot."""
    images = {signal.name: observation.images[signal.name] for signal in _images(robot)}
    return {**split(_numbers(robot), observation.columns[STATE]), **images}


def _size(part: Part) -> int:
    return int(np.prod(part.shape))


def _numbers(robot: RobotDescription) -> list[SignalSpec]:
    return [signal for signal in robot.signals if signal.dtype != "uint8"]


def _images(robot: RobotDescription) -> list[SignalSpec]:
    return [signal for signal in robot.signals if signal.dtype == "uint8"]
