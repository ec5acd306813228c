"""What can be teleoperated: a row a task."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import mujoco

from isthmus_datasets.operators.arm_guide import ArmGuide
from isthmus_datasets.operators.guide import Guide
from isthmus_datasets.operators.plane_guide import PlaneGuide
from isthmus_datasets.teleop.page import Stand
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_sim.robots.pusher.description import AGENT_RADIUS, MIDDLE, PIXEL, TABLE
from isthmus_sim.robots.pusher.mjcf import pusher_mjcf
from isthmus_sim.robots.so101.description import JOINTS, NO_LOAD_SPEED, RANGE
from isthmus_sim.robots.so101.mjcf import so101_mjcf


@dataclass(frozen=True, kw_only=True)
class Teleoperated:
    """How a person demonstrates a task; words and cameras are those of `DEMONSTRATED`.

    Args:
        model: What the page shows: with the robot's joints and mocap bodies, and visible.
        guide: Of the robot, and steps per second.
        stand: How the page looks at it.
        keys: Those that move its target, for the page.
        gripper: Whether it has one.
    """

    model: Callable[[EnvRobot], mujoco.MjModel]
    guide: Callable[[EnvRobot, int], Guide]
    stand: Stand
    keys: Mapping[str, str]
    gripper: bool = False


_ABOVE_M = 0.03  # the disc ends at 0.024 m


def _push_t_guide(robot: EnvRobot, rate_hz: int) -> Guide:
    return PlaneGuide(
        robot.features, place=("agent_position.x", "agent_position.y"), scale=(1 / PIXEL, -1 / PIXEL),
        origin=(MIDDLE, MIDDLE), minimum=(0.0, 0.0), maximum=(TABLE, TABLE), height_m=_ABOVE_M,
        facing_rad=math.pi / 2,
    )  # fmt: skip


def _arm_guide(robot: EnvRobot, rate_hz: int) -> Guide:
    """The person stands behind the arm and looks along it. Speeds are those of a hand, not the servos' utmost."""
    return ArmGuide(
        mujoco.MjModel.from_xml_string(so101_mjcf(desk=False)), robot.features, joints=JOINTS[:-1],
        gripper_joint=JOINTS[-1], gripper_range=RANGE["gripper"], rate_hz=rate_hz,
        speeds=dict.fromkeys(JOINTS, NO_LOAD_SPEED),
    )  # fmt: skip


_PUSH_T = Teleoperated(
    model=lambda _: mujoco.MjModel.from_xml_string(pusher_mjcf(scene=True)),
    guide=_push_t_guide,
    stand=Stand(eye=(0.0, 0.0, 0.95), up=(0.0, 1.0, 0.0), target_m=1.5 * AGENT_RADIUS * PIXEL, plane_m=_ABOVE_M),
    keys={"Mouse": "press or drag: the disc follows", "W A S D": "or arrows: move the target"},
)
_PICK_PLACE = Teleoperated(
    model=lambda robot: robot.model,
    guide=_arm_guide,
    stand=Stand(eye=(-0.32, -0.34, 0.46), look_at=(0.17, 0.0, 0.06), fov_rad=0.75, target_m=0.12),
    keys={
        "Mouse": "drag arrows and arcs", "W A S D": "or arrows: away, left, towards, right", "E Q": "up, down",
        "U O": "roll", "I K": "tip", "J L": "turn", "V C": "open, close",
    },
    gripper=True,
)  # fmt: skip
TELEOPERATED = {"push_t": _PUSH_T, "pick_place": _PICK_PLACE, "pick_place-randomized": _PICK_PLACE}
"""Task -> how."""
