"""What can be teleoperated: a row a task."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import mujoco

from isthmus_datasets.operators.guide import Guide
from isthmus_datasets.operators.plane_guide import PlaneGuide
from isthmus_datasets.teleop.page import Stand
from isthmus_policies.env_robot import EnvRobot
from isthmus_sim.robots.pusher import AGENT_RADIUS, MIDDLE, PIXEL, TABLE
from isthmus_sim.robots.pusher_mjcf import pusher_mjcf


@dataclass(frozen=True, kw_only=True)
class Teleoperated:
    """How a person demonstrates a task; words and cameras are those of `DEMONSTRATED`.

    Args:
        model: What the page shows: with the robot's joint positions, and drawn.
        guide: Of the robot; called with the steps per second.
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

TELEOPERATED = {
    "push_t": Teleoperated(
        model=lambda _: mujoco.MjModel.from_xml_string(pusher_mjcf(scene=True)),
        guide=lambda robot, _: PlaneGuide(
            robot.features, place=("agent_position.x", "agent_position.y"), scale=(1 / PIXEL, -1 / PIXEL),
            origin=(MIDDLE, MIDDLE), minimum=(0.0, 0.0), maximum=(TABLE, TABLE), height_m=_ABOVE_M,
            facing_rad=math.pi / 2,
        ),
        stand=Stand(eye=(0.0, 0.0, 0.95), up=(0.0, 1.0, 0.0), target_m=1.5 * AGENT_RADIUS * PIXEL, plane_m=_ABOVE_M),
        keys={"Mouse": "press or drag: the disc follows", "W A S D": "or arrows: move the target"},
    ),
}  # fmt: skip
"""Task -> how."""
