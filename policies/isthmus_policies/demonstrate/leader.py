"""`isthmus-teleop --leader`: the robot's joints go where those of a small arm in the person's hand are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from isthmus_datasets.operators.arm_calibration import Calibration
from isthmus_datasets.operators.leader_arm import LeaderArm
from isthmus_datasets.operators.motion import Device, DeviceError
from isthmus_datasets.operators.servo_bus import FAMILIES, ServoBus
from isthmus_policies.demonstrate.env_robot import robot_features
from isthmus_sim.description import RobotSpec

_NAME = "leader arm"


@dataclass(frozen=True, kw_only=True)
class LeaderOptions:
    """An arm that the person holds in place of the page's handle."""

    leader: Path | None = None
    """What `isthmus-calibrate leader` wrote of it; the robot's joints follow it."""
    leader_port: str = "/dev/ttyACM0"
    """Where it is plugged in."""
    leader_servos: Literal["feetech", "dynamixel"] = "feetech"
    """Who made its servos."""
    leader_baud: int = 1_000_000
    """Bits per second."""


def leader_arm(path: Path, options: LeaderOptions, buttons: Device, robot: RobotSpec) -> LeaderArm:
    """The arm that was calibrated in `path`, connected. Raises DeviceError, also where it is no leader of the robot."""
    command = robot.commands[0]
    if command.frame != "joint":
        raise DeviceError(_NAME, f"it leads joints, but {robot.name} is driven by {command.name}: drag it in the page")
    calibration = _calibration(path, command.order)
    ids = {name: joint.id for name, joint in calibration.joints.items()}
    bus = ServoBus(options.leader_port, ids, servos=FAMILIES[options.leader_servos], baud=options.leader_baud)
    return LeaderArm(
        bus, buttons, calibration, robot_features(robot), minimum=command.minimum, maximum=command.maximum,
        rate_hz=1 / robot.control_period_s,
    )  # fmt: skip


def _calibration(path: Path, joints: tuple[str, ...]) -> Calibration:
    try:
        return Calibration.load(path).ordered(joints)
    except FileNotFoundError as error:
        raise DeviceError(_NAME, f"there is no {path}: isthmus-calibrate leader PORT {path} makes it") from error
    except ValueError as error:
        raise DeviceError(_NAME, str(error)) from error
