"""A table with a block that has a round hole, into which SO-101 brings its peg.

The hole is a ring of twelve boxes, so that nothing has to touch a hollow shape: the circle within its polygon has the
hole's radius, and in the corners there are 0.3 mm more.
"""

from __future__ import annotations

import math

from isthmus_sim.description import RobotDescription
from isthmus_sim.robots.so101.description import OFFSET
from isthmus_sim.robots.so101.links import numbers
from isthmus_sim.robots.so101_peg.description import FORCE, PEG_RADIUS, ROBOT_WITH_PEG, TORQUE
from isthmus_sim.robots.so101_peg.mjcf import PEG_TIP, so101_peg_mjcf
from isthmus_sim.scene import Quantity, Scene, joint_motion
from isthmus_sim.scenes.desk import FLOOR, LAMP_DIRECTION, RGB, TABLE, TABLE_MIDDLE, TABLE_SIZE

CLEARANCE = 0.0005  # m, between the peg and the hole around it when it is in the middle
HOLE_RADIUS = PEG_RADIUS + CLEARANCE
BLOCK_HEIGHT = 0.02  # m; the hole goes all the way through
BLOCK = "block"
NOMINAL = (OFFSET["shoulder_pan"][0] + 0.15, 0.0)  # m, of the hole's axis on the table
TIMESTEP = 0.0025  # s

_SIDES, _WALL = 12, 0.02  # m
_STEEL = (0.34, 0.4, 0.48, 1.0)


def peg_board_mjcf() -> str:
    """MJCF of the arm with its peg, a table, and the block, which stays where it is put."""
    (x, y), (length, width) = TABLE_MIDDLE, TABLE_SIZE
    return so101_peg_mjcf(around=f"""
    <light name="lamp" pos="0.5 -0.6 1.2" dir="{numbers(LAMP_DIRECTION)}" type="directional"/>
    <geom name="{TABLE}" type="box" pos="{x} {y} -0.02" size="{length / 2} {width / 2} 0.02"
      rgba="{numbers(RGB[TABLE])} 1" contype="0" conaffinity="1"/>
    <geom name="{FLOOR}" class="visual" type="plane" pos="0 0 -0.7" size="5 5 0.1" rgba="{numbers(RGB[FLOOR])} 1"/>
    <body name="{BLOCK}" mocap="true" pos="{numbers(NOMINAL)} 0">{"".join(map(_side, range(_SIDES)))}
    </body>""")


def _side(number: int) -> str:
    """A box of the ring: its inner face touches the hole's circle."""
    angle, away = 2 * math.pi * number / _SIDES, HOLE_RADIUS + 0.5 * _WALL
    place = (away * math.cos(angle), away * math.sin(angle), 0.5 * BLOCK_HEIGHT)
    size = (0.5 * _WALL, (HOLE_RADIUS + _WALL) * math.tan(math.pi / _SIDES), 0.5 * BLOCK_HEIGHT)
    return f"""
      <geom type="box" pos="{numbers(place)}" size="{numbers(size)}" euler="0 0 {angle:.9g}" rgba="{numbers(_STEEL)}"
        contype="0" conaffinity="1"/>"""


def peg_board_scene(robot: RobotDescription) -> Scene:
    """The arm at the board. Read are its joints, what its sensor at the wrist measures, where the peg's end is, and the
    block, whose place is that of the hole's axis on its underside.

    Raises ValueError for a robot with another model than the arm with its peg.
    """
    if robot.model is not ROBOT_WITH_PEG.model:
        raise ValueError(
            f"the peg is in the hand of {ROBOT_WITH_PEG.name}, and {robot.name} has another model: take --robot "
            f"{ROBOT_WITH_PEG.name}"
        )
    return Scene(
        robot=robot,
        timestep_s=TIMESTEP,
        model=lambda looks: peg_board_mjcf(),
        quantities=(
            *joint_motion(tuple(robot.joints)),
            Quantity(name="peg_position", kind="site_position", of=(PEG_TIP,), shape=(3,), unit="m", frame="world"),
            Quantity(name=FORCE, kind="sensor", of=(FORCE,), shape=(3,), unit="N", frame="tool"),
            Quantity(name=TORQUE, kind="sensor", of=(TORQUE,), shape=(3,), unit="N·m", frame="tool"),
            Quantity(name="block_position", kind="mocap_position", of=(BLOCK,), shape=(3,), unit="m", frame="world"),
        ),
    )
