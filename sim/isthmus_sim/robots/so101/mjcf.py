"""SO-101 at a table with a cube and a round zone, as MJCF: primitives only.

Jaws hold the cube by friction: cones are elliptic, and its contacts resist turning about their normal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from isthmus_sim.robots.so101.description import PERIOD
from isthmus_sim.robots.so101.links import JAWS, arm, defaults, numbers, servos

TIMESTEP = PERIOD / 10  # s
CUBE, ZONE, TABLE, FLOOR, LAMP = "cube", "zone", "table", "floor", "lamp"
CAMERAS = ("scene", "wrist")
PATTERNS = ("checks", "plain", "speckles", "fade")
"""Materials of the table; its color tints them."""
CUBE_EDGE, CUBE_DENSITY = 0.03, 700.0  # m, kg/m³: of beech
ZONE_RADIUS = 0.045  # m
TABLE_MIDDLE, TABLE_SIZE = (0.2, 0.0), (0.7, 0.8)  # m, in x and y
TOUCH = ("fixed_touch", "moving_touch")
"""Sensors: how many contacts each jaw has with the cube."""

_TABLE_RGB, _ZONE_RGB, _CUBE_RGB, _FLOOR_RGB = (
    "0.72 0.66 0.58 1",
    "0.15 0.55 0.3 1",
    "0.85 0.16 0.14 1",
    "0.42 0.44 0.47 1",
)


def look_at(eye: ArrayLike, target: ArrayLike) -> str:
    """A camera's `pos` and `xyaxes`: at `eye`, towards `target`, (3,) m, upright."""
    place = np.asarray(eye, np.float64)
    ahead = np.asarray(target, np.float64) - place
    right = np.cross(ahead, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    up = np.cross(right, ahead / np.linalg.norm(ahead))
    return f'pos="{numbers(place)}" xyaxes="{numbers(right)} {numbers(up)}"'


def _desk() -> str:
    (x, y), (length, width) = TABLE_MIDDLE, TABLE_SIZE
    half = CUBE_EDGE / 2
    return f"""
    <light name="{LAMP}" pos="0.5 -0.6 1.2" dir="-0.3 0.5 -1" type="directional" diffuse="0.6 0.6 0.6"
      ambient="0.15 0.15 0.15" specular="0.1 0.1 0.1"/>
    <camera name="scene" {look_at((0.56, -0.22, 0.42), (0.17, 0.0, 0.07))} fovy="46"/>
    <geom name="{TABLE}" type="box" pos="{x} {y} -0.02" size="{length / 2} {width / 2} 0.02" material="{PATTERNS[0]}"
      rgba="{_TABLE_RGB}" contype="0" conaffinity="3"/>
    <geom name="{FLOOR}" class="visual" type="plane" pos="0 0 -0.7" size="5 5 0.1" rgba="{_FLOOR_RGB}"/>
    <body name="{ZONE}" mocap="true" pos="0.2 0.1 0">
      <geom name="{ZONE}" class="visual" type="cylinder" pos="0 0 0.0005" size="{ZONE_RADIUS} 0.0005"
        rgba="{_ZONE_RGB}"/>
    </body>
    <body name="{CUBE}" pos="0.2 -0.05 {half}">
      <freejoint name="{CUBE}"/>
      <geom name="{CUBE}" type="box" size="{half} {half} {half}" density="{CUBE_DENSITY}" rgba="{_CUBE_RGB}"
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


def so101_mjcf(*, desk: bool = True) -> str:
    """MJCF of the arm, with camera "wrist"; `desk` adds table, cube, zone and camera "scene". Controls are the joints'
    targets, rad."""
    touch = "".join(
        f'\n    <contact name="{name}" body1="{body}" body2="{CUBE}" num="1" data="found"/>'
        for name, body in zip(TOUCH, JAWS, strict=True)
    )
    return f"""
<mujoco model="so101">
  <compiler angle="radian" autolimits="true" inertiafromgeom="auto"/>
  <option timestep="{TIMESTEP:.17g}" integrator="implicitfast" cone="elliptic" impratio="10" iterations="20"
    ls_iterations="20"/>
  <visual>
    <global offwidth="960" offheight="960"/>
    <quality shadowsize="0" offsamples="0"/>
    <map znear="0.01" zfar="20"/>
    <headlight ambient="0.35 0.35 0.35" diffuse="0.25 0.25 0.25" specular="0 0 0"/>
  </visual>
  <default>{defaults()}
  </default>
  <asset>{_patterns()}
  </asset>
  <worldbody>{arm()}{_desk() if desk else ""}
  </worldbody>
  <actuator>{servos()}
  </actuator>
  <sensor>{touch if desk else ""}
  </sensor>
</mujoco>
"""
