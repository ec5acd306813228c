"""Between ROS messages and this project's conventions.

Quaternions are xyzw in messages and wxyz everywhere else: the two functions for them are the only places that know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Quaternion, Vector3
from numpy.typing import NDArray

Floats = NDArray[np.float32] | NDArray[np.float64] | Sequence[float]


def read_quaternion(message: Quaternion, out: NDArray) -> None:
    """Write a message's quaternion into `out` (4,), wxyz."""
    out[0] = message.w
    out[1] = message.x
    out[2] = message.y
    out[3] = message.z


def write_quaternion(wxyz: Floats, message: Quaternion) -> None:
    """Write `wxyz` (4,) into a message's quaternion."""
    message.w, message.x, message.y, message.z = (float(value) for value in wxyz)


def read_vector(message: Vector3 | Point, out: NDArray) -> None:
    """Write a message's x, y, z into `out` (3,)."""
    out[0] = message.x
    out[1] = message.y
    out[2] = message.z


def write_vector(xyz: Floats, message: Vector3 | Point) -> None:
    """Write `xyz` (3,) into a message's x, y, z."""
    message.x, message.y, message.z = (float(value) for value in xyz)


def stamp_of(message: Any) -> int | None:
    """The time stamp in a message's header, ns; None without a header, or for a stamp that was not set."""
    header = getattr(message, "header", None)
    if header is None:
        return None
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec or None


def set_stamp(message: Any, stamp: Any) -> None:
    """Set the time stamp in a message's header, where it has one."""
    if hasattr(message, "header"):
        message.header.stamp = stamp
