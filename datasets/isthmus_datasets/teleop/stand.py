"""Where the page's camera stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Stand:
    """How the robot is looked at and what is dragged.

    Args:
        eye, look_at, up: (3,) m, m, and a direction in the world: the camera to begin with.
        fov_rad: Its vertical field of view.
        target_m: Size of what is dragged.
        plane_m: Height of the plane it stays in; None if it moves and turns in space.
    """

    eye: tuple[float, float, float]
    look_at: tuple[float, float, float] = (0.0, 0.0, 0.0)
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)
    fov_rad: float = 0.7
    target_m: float
    plane_m: float | None = None
