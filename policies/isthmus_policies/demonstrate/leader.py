"""`isthmus-teleop --leader`: the robot's joints go where those of a small arm in the person's hand are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from isthmus_datasets.recording.operator import DeviceError
from isthmus_datasets.teleop.devices.arm_calibration import Calibration
from isthmus_datasets.teleop.devices.motion import Device
from isthmus_datasets.teleop.devices.servo_bus import FAMILIES, ServoBus
from isthmus_datasets.teleop.operators.leader_arm import LeaderArm
from isthmus_policies.demonstrate.features import robot_features
from isthmus_sim.description import RobotDescription

_NAME = "leader arm"


@dataclass(frozen=True, kw_only=True)
class LeaderOptions:
    """An arm that the person holds in place of the page's handle."""

    leader: Path | None = None
    """The file that `isthmus-calibrate leader` wrote for it; the robot's joints follow it."""
    leader_port: str = "/dev/ttyACM0"
    """The port that it is plugged into."""
    leader_servos: Literal["feetech", "dynamixel"] = "feetech"
    """The make of its servos."""
    leader_baud: int = 1_000_000
    """The speed of its bus, bits per second."""


def leader_arm(path: Path, options: LeaderOptions, buttons: Device, robot: RobotDescription) -> LeaderArm:
    """The arm that was calibrated in `path`, connected. Raises DeviceError, also where it is no leader of the robot."""
    others = [command.name for command in robot.commands if command.frame != "joint"]
    if others:
        driven = f"{robot.name} is driven by {', '.join(others)}"
        raise DeviceError(_NAME, f"it leads joints, but {driven}: drag it in the page")
    features = robot_features(robot)
    calibration = _calibration(path, features.action.names or ())
    ids = {name: joint.id for name, joint in calibration.joints.items()}
    bus = ServoBus(options.leader_port, ids, servos=FAMILIES[options.leader_servos], baud=options.leader_baud)
    return LeaderArm(
        bus, buttons, calibration, features, rate_hz=1 / robot.control_period_s,
        minimum=[low for command in robot.commands for low in command.minimum],
        maximum=[high for command in robot.commands for high in command.maximum],
    )  # fmt: skip


def _calibration(path: Path, joints: tuple[str, ...]) -> Calibration:
    try:
        return Calibration.load(path).ordered(joints)
    except FileNotFoundError as error:
        raise DeviceError(_NAME, f"there is no {path}: isthmus-calibrate leader PORT {path} makes it") from error
    except ValueError as error:
        raise DeviceError(_NAME, str(error)) from error
