"""A desk: SO-101 at a table with a cube and a round zone, seen by two cameras."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from isthmus_sim.description import RobotDescription, Vector3
from isthmus_sim.robots.so101.description import ROBOT
from isthmus_sim.robots.so101.links import JAWS, TIP, numbers
from isthmus_sim.robots.so101.mjcf import TIMESTEP, so101_mjcf
from isthmus_sim.scene import Quantity, Scene, free_body, joint_motion

CUBE, ZONE, TABLE, FLOOR, LAMP = "cube", "zone", "table", "floor", "lamp"
CAMERAS = ("scene", "wrist")
PATTERNS = ("checks", "plain", "speckles", "fade")
"""Materials of the table; its color tints them."""
CUBE_EDGE, CUBE_DENSITY = 0.03, 700.0  # m, kg/m³: of beech
ZONE_RADIUS = 0.045  # m
TABLE_MIDDLE, TABLE_SIZE = (0.2, 0.0), (0.7, 0.8)  # m, in x and y
TOUCH = ("fixed_touch", "moving_touch")
"""Sensors: how many contacts each jaw has with the cube."""

RGB: dict[str, Vector3] = {
    CUBE: (0.85, 0.16, 0.14),
    ZONE: (0.15, 0.55, 0.3),
    TABLE: (0.72, 0.66, 0.58),
    FLOOR: (0.42, 0.44, 0.47),
}
LAMP_DIRECTION: Vector3 = (-0.3, 0.5, -1.0)
LAMP_RGB: Vector3 = (0.6, 0.6, 0.6)
LAMP_AMBIENT = 0.15


def look_at(eye: ArrayLike, target: ArrayLike) -> str:
    """A camera's `pos` and `xyaxes`: at `eye`, towards `target`, (3,) m, upright."""
    place = np.asarray(eye, np.float64)
    ahead = np.asarray(target, np.float64) - place
    right = np.cross(ahead, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    up = np.cross(right, ahead / np.linalg.norm(ahead))
    return f'pos="{numbers(place)}" xyaxes="{numbers(right)} {numbers(up)}"'


def _rgba(name: str) -> str:
    return f"{numbers(RGB[name])} 1"


def _around() -> str:
    (x, y), (length, width) = TABLE_MIDDLE, TABLE_SIZE
    half = CUBE_EDGE / 2
    return f"""
    <light name="{LAMP}" pos="0.5 -0.6 1.2" dir="{numbers(LAMP_DIRECTION)}" type="directional"
      diffuse="{numbers(LAMP_RGB)}"
      ambient="{numbers((LAMP_AMBIENT,) * 3)}" specular="0.1 0.1 0.1"/>
    <camera name="scene" {look_at((0.56, -0.22, 0.42), (0.17, 0.0, 0.07))} fovy="46"/>
    <geom name="{TABLE}" type="box" pos="{x} {y} -0.02" size="{length / 2} {width / 2} 0.02" material="{PATTERNS[0]}"
      rgba="{_rgba(TABLE)}" contype="0" conaffinity="3"/>
    <geom name="{FLOOR}" class="visual" type="plane" pos="0 0 -0.7" size="5 5 0.1" rgba="{_rgba(FLOOR)}"/>
    <body name="{ZONE}" mocap="true" pos="0.2 0.1 0">
      <geom name="{ZONE}" class="visual" type="cylinder" pos="0 0 0.0005" size="{ZONE_RADIUS} 0.0005"
        rgba="{_rgba(ZONE)}"/>
    </body>
    <body name="{CUBE}" pos="0.2 -0.05 {half}">
      <freejoint name="{CUBE}"/>
      <geom name="{CUBE}" type="box" size="{half} {half} {half}" density="{CUBE_DENSITY}" rgba="{_rgba(CUBE)}"
        contype="2" conaffinity="1" condim="4" friction="0.6 0.005 0.0001"/>
    </body>"""


def _patterns() -> str:
    """Textures of the table in grey, and materials of the same names."""
    bodies = (
        'builtin="checker" rgb1="1 1 1" rgb2="0.9 0.9 0.9"',
        'builtin="flat" rgb1="1 1 1"',
        'builtin="flat" rgb1="1 1 1" mark="random" markrgb="0.55 0.55 0.55" random="0.08"',
        'builtin="gradient" rgb1="1 1 1" rgb2="0.6 0.6 0.6"',
    )
    return "".join(
        f"""
    <texture name="{name}" type="2d" {body} width="64" height="64"/>
    <material name="{name}" texture="{name}" specular="0"
      texrepeat="{1 if name == "fade" else 3} {1 if name == "fade" else 3}"/>"""
        for name, body in zip(PATTERNS, bodies, strict=True)
    )


def desk_mjcf() -> str:
    """MJCF of the arm at its desk, with cameras "scene" and "wrist"."""
    touch = "".join(
        f'\n    <contact name="{name}" body1="{body}" body2="{CUBE}" num="1" data="found"/>'
        for name, body in zip(TOUCH, JAWS, strict=True)
    )
    return so101_mjcf(around=_around(), assets=_patterns(), sensors=touch)


def desk_scene(robot: RobotDescription, cameras: Mapping[str, tuple[int, ...]] | None = None) -> Scene:
    """The arm at its desk.

    Read are its joints, where its tip is, the cube's pose and velocities ("cube_…"), the zone, the cube's edge, which
    jaws touch the cube, and images: `cameras` says their signals, "camera_NAME" -> shape (height, width, 3).

    Raises ValueError for a robot with another model than the desk's arm.
    """
    from isthmus_sim.scenes.desk_variations import CubeEdge, DeskLooks  # they are made from what stands here

    if robot.model is not ROBOT.model:
        raise ValueError(
            f"the desk is built around the model of {ROBOT.name}, and {robot.name} has one of its own: take --robot "
            f"{ROBOT.name}, or write a scene with that model"
        )
    return Scene(
        robot=robot,
        timestep_s=TIMESTEP,
        model=lambda looks: desk_mjcf(),
        variations=(CubeEdge(), DeskLooks()),
        quantities=(
            *joint_motion(tuple(robot.joints)),
            Quantity(name="tip_position", kind="site_position", of=(TIP,), shape=(3,), unit="m", frame="world"),
            *free_body(CUBE, "cube_"),
            Quantity(name="cube_edge", kind="parameter", of=("cube_edge",), shape=(1,), unit="m"),
            Quantity(name="zone_position", kind="mocap_position", of=(ZONE,), shape=(2,), unit="m", frame="world"),
            *(
                Quantity(name=name, kind="camera", of=(name.removeprefix("camera_"),), shape=shape, unit="1")
                for name, shape in (cameras or {}).items()
            ),
            Quantity(name="contact_count", kind="sensor", of=TOUCH, shape=(len(TOUCH),), unit="1"),
        ),
    )
