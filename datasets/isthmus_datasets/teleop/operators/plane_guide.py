"""A target on a table, for a robot whose action is a place there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus_datasets.recording.robot import Observation, RobotFeatures
from isthmus_datasets.teleop.devices.motion import Motion
from isthmus_datasets.teleop.operators.teleop_controller import ToolPose

UPRIGHT = (1.0, 0.0, 0.0, 0.0)  # wxyz


class PlaneGuide:
    """The action is where the robot shall be on a table, in units of its own: `origin` + `scale` · metres.

    Args:
        features: The robot's; its action is (2,).
        place: Names of the two elements of `column` that say where the robot is, in the action's units.
        scale: (2,) action units per metre of the world's x and y; negative where an axis is the other way round.
        origin: (2,) the world's origin in action units.
        minimum, maximum: (2,) where the table ends, in action units.
        height_m: Height of the target over the world's origin.
        facing_rad: Which way the person looks, from the world's x anticlockwise.
        speed_m_s: Speed of the target at a full deflection of the hand.
        column: Name of the observation column.

    Raises:
        ValueError: the robot has no such column or element, or its action is not (2,).
    """

    def __init__(
        self,
        features: RobotFeatures,
        *,
        place: Sequence[str],
        scale: ArrayLike,
        origin: ArrayLike,
        minimum: ArrayLike,
        maximum: ArrayLike,
        height_m: float = 0.0,
        facing_rad: float = 0.0,
        speed_m_s: float = 0.35,
        column: str = "state",
    ) -> None:
        self._column, self._elements = column, elements(features, column, place)
        if features.action.shape != (2,) or len(self._elements) != 2:
            raise ValueError(f"a place on a table is (2,), but the action is {features.action.shape}, of {place}")
        self._dtype = features.action.numpy
        self._scale, self._origin, self._minimum, self._maximum = (
            np.array(values, dtype=np.float64) for values in (scale, origin, minimum, maximum)
        )
        c, s = math.cos(facing_rad), math.sin(facing_rad)
        self._speed = speed_m_s * np.array(((c, -s), (s, c)))
        self._height_m, self._place = height_m, self._origin.copy()
        self.gripper = 0.0  # There is none.

    @property
    def target(self) -> ToolPose:
        """On the table, upright."""
        x, y = (self._place - self._origin) / self._scale
        return np.array((x, y, self._height_m)), np.array(UPRIGHT)

    def reset(self, observation: Observation, sent: NDArray[np.floating] | None = None) -> None:
        """The target is where the robot is."""
        self._put(observation.columns[self._column][self._elements])

    def move(self, motion: Motion, dt_s: float) -> None:
        """Along the table; what is up or turns does not count."""
        self._put(self._place + self._scale * (self._speed @ motion.linear[:2]) * dt_s)

    def goto(self, position: ArrayLike, wxyz: ArrayLike) -> None:
        """To the nearest place on the table."""
        self._put(self._origin + self._scale * np.asarray(position)[:2])

    def action(self, observation: Observation) -> NDArray[np.floating]:
        """The target (2,) in the action's units."""
        return self._place.astype(self._dtype)

    def _put(self, place: NDArray[np.floating]) -> None:
        self._place = np.clip(place.astype(np.float64), self._minimum, self._maximum)


def elements(features: RobotFeatures, column: str, names: Sequence[str]) -> NDArray[np.intp]:
    """Where the elements of these names are in a column. Raises ValueError for those that are not there."""
    there = features.columns[column].names or () if column in features.columns else ()
    lacking = [name for name in names if name not in there]
    if lacking:
        raise ValueError(
            f"column {column!r} of {features.robot_type} has no {', '.join(lacking)}; it has: {list(there)}"
        )
    return np.array([there.index(name) for name in names], dtype=np.intp)
