"""A bag's numbers keep their units: those that their types say, and those that our flight recorder says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_bags import JOINTS, STATE, header, joints, make, options, write_bag
from written import imported

from isthmus_datasets.convert.importers.opening import open_source


def vector(x: float = 1.0) -> Any:
    return make("geometry_msgs/msg/Vector3", x=x, y=2.0, z=3.0)


TURN = make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
POSE = make("geometry_msgs/msg/Pose", position=make("geometry_msgs/msg/Point", x=1.0, y=2.0, z=3.0), orientation=TURN)
TWIST = make("geometry_msgs/msg/Twist", linear=vector(), angular=vector())
ODOMETRY = make(
    "nav_msgs/msg/Odometry",
    header=header(0),
    child_frame_id="base",
    pose=make("geometry_msgs/msg/PoseWithCovariance", pose=POSE, covariance=np.zeros(36)),
    twist=make("geometry_msgs/msg/TwistWithCovariance", twist=TWIST, covariance=np.zeros(36)),
)
IMU = make(
    "sensor_msgs/msg/Imu",
    header=header(0),
    orientation=TURN,
    angular_velocity=vector(),
    linear_acceleration=vector(),
    orientation_covariance=np.zeros(9),
    angular_velocity_covariance=np.zeros(9),
    linear_acceleration_covariance=np.zeros(9),
)
WRENCH = make("geometry_msgs/msg/Wrench", force=vector(), torque=vector())
BATTERY = make(
    "sensor_msgs/msg/BatteryState",
    header=header(0),
    **dict.fromkeys(("voltage", "temperature", "current", "charge", "capacity", "design_capacity", "percentage"), 1.0),
    **dict.fromkeys(("power_supply_status", "power_supply_health", "power_supply_technology"), 0),
    present=True,
    cell_voltage=np.ones(2, np.float32),
    cell_temperature=np.ones(2, np.float32),
    location="",
    serial_number="",
)
RANGE = make(
    "sensor_msgs/msg/Range", header=header(0), radiation_type=0, field_of_view=0.1, min_range=0.1, max_range=4.0,
    range=1.0, variance=0.0,
)  # fmt: skip
FIX = make(
    "sensor_msgs/msg/NavSatFix",
    header=header(0),
    status=make("sensor_msgs/msg/NavSatStatus", status=0, service=1),
    latitude=47.0,
    longitude=8.0,
    altitude=400.0,
    position_covariance=np.zeros(9),
    position_covariance_type=0,
)
COVARIANCE = 3 * (3 * ["m²"] + 3 * ["m·rad"]) + 3 * (3 * ["rad·m"] + 3 * ["rad²"])


@pytest.mark.parametrize(
    ("message", "field", "units"),
    [
        (POSE, "", ["m"] * 3 + ["1"] * 4),
        (TWIST, "", ["m/s"] * 3 + ["rad/s"] * 3),
        (TWIST, "angular", ["rad/s"] * 3),
        (TWIST, "linear.x", ["m/s"]),
        (WRENCH, "", ["N"] * 3 + ["N·m"] * 3),
        (IMU, "orientation", ["1"] * 4),
        (IMU, "linear_acceleration", ["m/s²"] * 3),
        (IMU, "angular_velocity_covariance", ["(rad/s)²"] * 9),
        (ODOMETRY, "pose.pose", ["m"] * 3 + ["1"] * 4),
        (ODOMETRY, "twist.twist.linear", ["m/s"] * 3),
        (ODOMETRY, "pose.covariance", COVARIANCE),
        (BATTERY, "voltage", ["V"]),
        (BATTERY, "current", ["A"]),
        (BATTERY, "cell_voltage", ["V"] * 2),
        (BATTERY, "present", None),
        (RANGE, "", ["", "rad", "m", "m", "m", "m²"]),
        (FIX, "latitude", ["deg"]),
        (vector(), "", None),
        (make("std_msgs/msg/Float64", data=1.0), "data", None),
    ],
)
def test_units_are_those_of_the_messages_type(tmp_path: Path, message: Any, field: str, units: list[str] | None):
    """A vector alone, or a number, says none."""
    bag = write_bag(tmp_path / "bag", ("/it", message.__msgtype__, [(0, message), (100, message)]))
    source = open_source(bag, options({"observation.it": f"/it:{field}" if field else "/it"}))
    assert (source.features["observation.it"].info or {}).get("units") == units


def test_joints_are_taken_for_revolute_and_that_is_said(tmp_path: Path):
    """In the dataset's own file, too; times of capture are in ns."""
    messages = [(100 * k, joints(100 * k, ["a", "b"], [1, 2], [3, 4])) for k in range(3)]
    bag = write_bag(tmp_path / "bag", ("/state", JOINTS, messages))
    source = open_source(bag, options({**STATE, "observation.speed": "/state:velocity"}))
    features = imported(source, tmp_path / "data").info.features
    units = {name: (features[name].info or {}).get("units") for name in source.features}
    assert units == {
        "observation.state": ["rad", "rad"],
        "observation.speed": ["rad/s", "rad/s"],
        "capture_time_ns": ["ns", "ns"],
    }
    for name, prismatic in (("observation.state", "m"), ("observation.speed", "m/s")):
        note = str((features[name].info or {})["units_note"])
        assert note.endswith(f"does not say which joints are prismatic, whose unit is {prismatic}")
