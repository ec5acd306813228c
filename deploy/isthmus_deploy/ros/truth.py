"""A robot's base as it is, which only simulation and motion capture know: what is published as ground_truth."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(kw_only=True, eq=False)
class Truth:
    """The base: position (3,) m world, orientation (4,) wxyz world_from_body, linear velocity (3,) m/s and
    angular velocity (3,) rad/s in the body. All zero until it is known."""

    position: Vector = field(default_factory=lambda: np.zeros(3))
    orientation: Vector = field(default_factory=lambda: np.zeros(4))
    linear_velocity: Vector = field(default_factory=lambda: np.zeros(3))
    angular_velocity: Vector = field(default_factory=lambda: np.zeros(3))

    @property
    def known(self) -> bool:
        """Whether it has been heard."""
        return bool(self.orientation.any())

    @property
    def heading(self) -> float:
        """The heading of the body's x axis over the ground, rad from the world's x axis."""
        return heading(self.orientation)

    @property
    def tilt(self) -> float:
        """Angle of the body's z axis from the vertical, rad."""
        _, x, y, _ = self.orientation
        return math.acos(min(1.0, max(-1.0, 1.0 - 2.0 * (x * x + y * y))))


def heading(orientation: Vector) -> float:
    """The body's heading over the ground, rad from the world's x axis; `orientation` (4,) wxyz world_from_body."""
    w, x, y, z = orientation
    return math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
