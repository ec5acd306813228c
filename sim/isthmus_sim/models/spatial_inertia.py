"""Mass, centre of mass and inertia of rigid bodies, and of several welded together.

Source: R. Featherstone, Rigid Body Dynamics Algorithms (2008), section 2.13 (inertias add up in one frame).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where a child frame stands in its parent's frame: rotation (3, 3), position (3,) in m."""

    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    position: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def then(self, child: Pose) -> Pose:
        """The pose of `child`, which is given in this frame, in this frame's parent."""
        return Pose(rotation=self.rotation @ child.rotation, position=self.position + self.rotation @ child.position)

    def inverse(self) -> Pose:
        """Where the parent's frame stands in the child's."""
        return Pose(rotation=self.rotation.T, position=-self.rotation.T @ self.position)


@dataclass(frozen=True, kw_only=True)
class SpatialInertia:
    """Mass in kg, centre of mass (3,) in m, and inertia (3, 3) in kg·m² about it, along the frame's axes."""

    mass: float
    com: np.ndarray
    inertia: np.ndarray

    def in_parent(self, pose: Pose) -> SpatialInertia:
        """The same body, in the frame in which its own frame has `pose`."""
        return SpatialInertia(
            mass=self.mass,
            com=pose.position + pose.rotation @ self.com,
            inertia=pose.rotation @ self.inertia @ pose.rotation.T,
        )

    @property
    def principal(self) -> np.ndarray:
        """Principal moments (3,), the smallest first."""
        return np.linalg.eigvalsh(self.inertia)


def total(parts: Iterable[SpatialInertia]) -> SpatialInertia:
    """All `parts`, in one frame, as one rigid body. Their masses must not add up to zero."""
    parts = tuple(parts)
    mass = sum(part.mass for part in parts)
    com = sum((part.mass * part.com for part in parts), np.zeros(3)) / mass
    inertia = sum((part.inertia + part.mass * _steiner(part.com - com) for part in parts), np.zeros((3, 3)))
    return SpatialInertia(mass=mass, com=com, inertia=inertia)


def _steiner(offset: np.ndarray) -> np.ndarray:
    """What one kilogram adds to the inertia at `offset` (3,) from the axis' origin, (3, 3) in m²."""
    return offset @ offset * np.eye(3) - np.outer(offset, offset)
