"""How Push-T is demonstrated."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import math

import mujoco

from isthmus_datasets.teleop.operators.plane_guide import PlaneGuide
from isthmus_datasets.teleop.stand import Stand
from isthmus_policies.demonstrate.demonstration import Demonstration, ShownRobot
from isthmus_policies.demonstrate.tasks.push_t_script import PushTScript
from isthmus_policies.demonstrate.views import Images, Placements, check_placed
from isthmus_sim.env import Env
from isthmus_sim.robots.pusher.description import AGENT_RADIUS, MIDDLE, PIXEL, TABLE
from isthmus_sim.robots.pusher.drawing import image
from isthmus_sim.robots.pusher.mjcf import pusher_mjcf

_ABOVE_M = 0.03  # the disc ends at 0.024 m


class PushTView:
    """The table of Push-T from above, as its signals have it. It is as published: nothing can be placed elsewhere."""

    shapes = {"scene": (96, 96)}

    def __init__(self, env: Env, placed: Placements | None = None) -> None:
        check_placed((), placed or {})
        self._env = env

    def images(self) -> Images:
        signals = self._env.signals
        block = (*signals["block_position"][0].tolist(), float(signals["block_angle"][0]))
        return {"scene": image(signals["agent_position"][0].tolist(), block)}

    def close(self) -> None:
        pass


def _shown(robot: ShownRobot) -> mujoco.MjModel:
    """The table with its goal and walls, which the simulated model lacks."""
    return mujoco.MjModel.from_xml_string(pusher_mjcf(scene=True))


def _guide(robot: ShownRobot, rate_hz: int) -> PlaneGuide:
    return PlaneGuide(
        robot.features, place=("agent_position.x", "agent_position.y"), scale=(1 / PIXEL, -1 / PIXEL),
        origin=(MIDDLE, MIDDLE), minimum=(0.0, 0.0), maximum=(TABLE, TABLE), height_m=_ABOVE_M,
        facing_rad=math.pi / 2,
    )  # fmt: skip


DEMONSTRATION = Demonstration(
    words="push the T into its goal",
    script=lambda noise, skill: PushTScript(noise=noise, skill=skill),
    noise=8.0,
    cameras=PushTView,
    view=Stand(eye=(0.0, 0.0, 0.95), up=(0.0, 1.0, 0.0), target_m=1.5 * AGENT_RADIUS * PIXEL, plane_m=_ABOVE_M),
    guide=_guide,
    model=_shown,
    keys={"Mouse": "press or drag: the disc follows", "W A S D": "or arrows: move the target"},
)
