"""Whether what an IMU feels at rest is gravity, seen by the orientation that it, or another sensor, tells."""

from __future__ import annotations

import math
from collections.abc import Sequence

from isthmus_deploy.rotations import rotated

_GRAVITY = 9.81  # m/s²
_AT_REST = 0.5
"""How much the acceleration may differ from gravity at rest, m/s²: bias and noise of a small IMU."""
_TOLERANCE = math.radians(15.0)
"""A bias of 0.5 m/s² tilts gravity by 3°, an orientation may be off by a few more, and feet give way."""


def gravity_problem(acceleration: Sequence[float], wxyz: Sequence[float]) -> str | None:
    """Compare an acceleration with an orientation.

    An IMU that is mounted otherwise than its readings say, or in a frame whose z points down, shows here, where the
    orientation is another sensor's or its own filter has the other convention. One that reads everything in its own
    turned axes contradicts nothing.

    Args:
        acceleration: What is felt (specific force), (3,) m/s² in the body's axes: upwards at rest.
        wxyz: Orientation, unit quaternion, world_from_body.

    Returns:
        None where they agree or the body is not at rest; otherwise what is wrong, in words.
    """
    x, y, z = (float(value) for value in acceleration)
    felt = math.sqrt(x * x + y * y + z * z)
    if abs(felt - _GRAVITY) > _AT_REST:
        return None
    up = rotated(wxyz, (x, y, z))[2] / felt
    angle = math.acos(min(1.0, max(-1.0, up)))
    if angle <= _TOLERANCE:
        return None
    return (
        f"at rest gravity is {math.degrees(angle):.0f}° away from where the orientation has it (at most "
        f"{math.degrees(_TOLERANCE):.0f}°): is the IMU mounted, or are its axes named, otherwise?"
    )
