"""Units of the numbers in ROS 2 messages, as the documentation of their types says them.

The comments of sensor_msgs, geometry_msgs and nav_msgs (5.3.6), and REP 103 (https://ros.org/reps/rep-0103.html) where
they say no unit: SI, and radians.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from isthmus_datasets.recording.ros2.messages import field_names

JOINT_STATE = {"position": ("rad", "m"), "velocity": ("rad/s", "m/s"), "effort": ("N·m", "N")}
"""Units of a revolute joint and of a prismatic one; a JointState does not say which a joint is."""


def _each(unit: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, unit)


def _product(first: str, second: str) -> str:
    if first != second:
        return f"{first}·{second}"
    return f"({first})²" if "/" in first else f"{first}²"


def _covariance(*units: str) -> dict[str, str]:
    """The units of the elements of a covariance matrix, row by row."""
    products = [_product(first, second) for first in units for second in units]
    return {f"covariance.{place}": unit for place, unit in enumerate(products)}


_AXES = ("x", "y", "z")
_FIELDS: dict[str, dict[str, str]] = {
    "builtin_interfaces/Time": {"sec": "s", "nanosec": "ns"},
    "builtin_interfaces/Duration": {"sec": "s", "nanosec": "ns"},
    "geometry_msgs/Accel": {"linear": "m/s²", "angular": "rad/s²"},
    "geometry_msgs/AccelWithCovariance": _covariance(*["m/s²"] * 3, *["rad/s²"] * 3),
    "geometry_msgs/Inertia": {"m": "kg", "com": "m", **_each("kg·m²", "ixx", "ixy", "ixz", "iyy", "iyz", "izz")},
    "geometry_msgs/Point": _each("m", *_AXES),
    "geometry_msgs/Point32": _each("m", *_AXES),
    "geometry_msgs/Pose2D": {"x": "m", "y": "m", "theta": "rad"},
    "geometry_msgs/PoseWithCovariance": _covariance(*["m"] * 3, *["rad"] * 3),
    "geometry_msgs/Quaternion": _each("1", "w", *_AXES),
    "geometry_msgs/Transform": {"translation": "m"},
    "geometry_msgs/Twist": {"linear": "m/s", "angular": "rad/s"},
    "geometry_msgs/TwistWithCovariance": _covariance(*["m/s"] * 3, *["rad/s"] * 3),
    "geometry_msgs/Wrench": {"force": "N", "torque": "N·m"},
    "sensor_msgs/BatteryState": {
        **{"voltage": "V", "temperature": "°C", "current": "A", "percentage": "1"},
        **_each("Ah", "charge", "capacity", "design_capacity"),
        **{"cell_voltage": "V", "cell_temperature": "°C"},
    },
    "sensor_msgs/FluidPressure": {"fluid_pressure": "Pa", "variance": "Pa²"},
    "sensor_msgs/Illuminance": {"illuminance": "lx", "variance": "lx²"},
    "sensor_msgs/Imu": {
        **{"angular_velocity": "rad/s", "linear_acceleration": "m/s²", "orientation_covariance": "rad²"},
        **{"angular_velocity_covariance": "(rad/s)²", "linear_acceleration_covariance": "(m/s²)²"},
    },
    "sensor_msgs/LaserScan": {
        **_each("rad", "angle_min", "angle_max", "angle_increment"),
        **_each("s", "time_increment", "scan_time"),
        **_each("m", "range_min", "range_max", "ranges"),
    },
    "sensor_msgs/MagneticField": {"magnetic_field": "T", "magnetic_field_covariance": "T²"},
    "sensor_msgs/NavSatFix": {"altitude": "m", "position_covariance": "m²", **_each("deg", "latitude", "longitude")},
    "sensor_msgs/Range": {"field_of_view": "rad", **_each("m", "min_range", "max_range", "range"), "variance": "m²"},
    "sensor_msgs/RelativeHumidity": {"relative_humidity": "1", "variance": "1"},
    "sensor_msgs/Temperature": {"temperature": "°C", "variance": "°C²"},
}
"""The units of a type's fields, and of all that is in them: a vector has the unit that its message gives it."""


_FLIGHT = "isthmus_flight/msg/"
"""Types of the flight recorder of `isthmus-deploy` begin so: its channels say of each field "UNIT, FRAME: NAMES"."""


def units_of(
    message: Any, path: Sequence[str], names: Sequence[str], said: Mapping[str, str]
) -> tuple[str, ...] | None:
    """The unit of each element of a message; "" where its type says none, None where it says none of any.

    Args:
        message: As rosbags makes it.
        path: The field of a field … that the elements are in.
        names: Of the elements, in that.
        said: What the bag says of the topic beside its type.
    """
    known = _known(message) | _of_flight(message, said)
    units = tuple(_of_place([*path, *name.split(".")] if name else list(path), known) for name in names)
    return units if any(units) else None


def _known(message: Any, place: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """Units by place, of this message and those in it."""
    if not field_names(message):
        return {}
    said = _FIELDS.get(message.__msgtype__.replace("/msg/", "/"), {})
    known = {(*place, *name.split(".")): unit for name, unit in said.items()}
    for name in field_names(message):
        known |= _known(getattr(message, name), (*place, name))
    return known


def _of_flight(message: Any, said: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """As its contract says of each signal and command; of the rest, as its name does."""
    if not message.__msgtype__.startswith(_FLIGHT):
        return {}
    if message.__msgtype__ == f"{_FLIGHT}Ages":
        return {(name,): "s" for name in field_names(message)}
    fields = {re.sub(r"[^a-z0-9]+", "_", name.lower()): text.partition(",")[0] for name, text in said.items()}
    return {(name,): fields.get(name, "ns" if name.endswith("_ns") else "") for name in field_names(message)}


def _of_place(place: Sequence[str], known: Mapping[tuple[str, ...], str]) -> str:
    """The unit of this place, or of what it is in."""
    return next((known[tuple(place[:n])] for n in range(len(place), 0, -1) if tuple(place[:n]) in known), "")
