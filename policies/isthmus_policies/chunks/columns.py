"""A robot's signals as the observations of a chunk policy, batched, and its actions as commands."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from isthmus_policies.chunks.chunk_policy import ChunkSpec
from isthmus_policies.demonstrate.features import STATE, robot_features
from isthmus_sim.description import RobotDescription
from isthmus_sim.specs import SignalSpec

STATE_COLUMN = f"observation.{STATE}"
"""The column that a robot's numbers become when it is recorded."""
CAMERA = "observation.images."
"""What the name of a camera in a dataset begins with."""
_IMAGE = "camera_"
"""What a robot's image signal may have before the name of its camera."""


class RobotColumns:
    """What `demonstrate.features` says of one robot, for many worlds at once. The camera NAME of a dataset is the
    robot's image signal NAME, or camera_NAME.

    Args:
        spec: What the policy reads and gives.
        robot: The robot.

    Raises:
        ValueError: the policy reads a column or camera that this robot does not have, or of another size, or gives
            another action.
    """

    def __init__(self, spec: ChunkSpec, robot: RobotDescription) -> None:
        self._spec, self._robot = spec, robot
        self._numbers = [signal for signal in robot.signals if signal.dtype != "uint8"]
        features = robot_features(robot)
        has = {STATE_COLUMN: features.columns[STATE].shape[0]}
        cameras = {f"{CAMERA}{name}": name for name in features.cameras}
        cameras |= {f"{CAMERA}{name.removeprefix(_IMAGE)}": name for name in features.cameras}
        wanted = {name: size for name, size in spec.columns.items() if has.get(name) != size}
        if wanted or not spec.cameras.keys() <= cameras.keys():
            raise ValueError(
                f"the policy observes {_told(spec.columns)} {' '.join(spec.cameras)}; {robot.name} has {_told(has)} "
                f"{' '.join(sorted(cameras))}"
            )
        self._cameras = {column: cameras[column] for column in spec.cameras}
        if spec.action_size != features.action.shape[0]:
            raise ValueError(
                f"the policy gives {spec.action_size} numbers, {robot.name} takes {features.action.shape[0]}: "
                f"{', '.join(features.action.names or ())}"
            )
        period_s = 1.0 / spec.fps
        if abs(period_s - robot.control_period_s) > 1e-6:
            raise ValueError(
                f"the policy was trained at {spec.fps} steps a second, {robot.name} has a control period of "
                f"{robot.control_period_s:g} s"
            )

    @property
    def signals(self) -> tuple[SignalSpec, ...]:
        """What a policy is given: all numbers of the robot, and those of its cameras that the policy sees."""
        seen = set(self._cameras.values())
        return tuple(signal for signal in self._robot.signals if signal.dtype != "uint8" or signal.name in seen)

    def observations(self, windows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The last readings by signal, (n, observed, *shape) -> what the policy observes: column or camera ->
        (n, observed, …)."""
        rows = self._rows({name: value.flatten(0, 1) for name, value in windows.items()})
        return {name: row.unflatten(0, (-1, self._spec.observed)) for name, row in rows.items()}

    def signals_of(self, state: Tensor) -> dict[str, Tensor]:
        """Recorded rows (n, size) of `STATE_COLUMN` as what the robot read: signal -> (n, *shape)."""
        sizes = [math.prod(signal.shape) for signal in self._numbers]
        parts = zip(self._numbers, state.split(sizes, dim=-1), strict=True)
        return {signal.name: part.unflatten(-1, signal.shape) for signal, part in parts}

    def _rows(self, signals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One row of each column and camera: (n, …)."""
        rows = {}
        if STATE_COLUMN in self._spec.columns:
            rows[STATE_COLUMN] = torch.cat(
                [signals[signal.name].flatten(1) for signal in self._numbers], dim=-1
            ).float()
        for name, size in self._spec.cameras.items():
            rows[name] = _scaled(signals[self._cameras[name]].movedim(-1, 1), size)
        return rows


def commands_of(robot: RobotDescription, actions: Tensor) -> dict[str, Tensor]:
    """Actions (…, action_size) as the robot's commands by name, (…, size) each."""
    sizes = [command.size for command in robot.commands]
    return dict(zip((command.name for command in robot.commands), actions.split(sizes, dim=-1), strict=True))


def actions_of(robot: RobotDescription, commands: Mapping[str, Tensor]) -> Tensor:
    """The inverse of `commands_of`."""
    return torch.cat([commands[command.name] for command in robot.commands], dim=-1)


def _scaled(images: Tensor, size: tuple[int, int]) -> Tensor:
    """(n, 3, H, W) uint8 at another size, by the mean of what each pixel covers."""
    if images.shape[-2:] == size:
        return images
    return interpolate(images.float(), size=size, mode="area").round().to(torch.uint8)


def _told(columns: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({size})" for name, size in columns.items())
