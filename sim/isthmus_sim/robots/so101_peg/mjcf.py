"""The MJCF of `so101` with a peg in its jaws and a sensor at its wrist."""

from __future__ import annotations

import math

import numpy as np

from isthmus_sim.robots.so101.links import numbers
from isthmus_sim.robots.so101.mjcf import so101_mjcf
from isthmus_sim.robots.so101_peg.description import CHAMFER, FORCE, PEG_END, PEG_LENGTH, PEG_RADIUS, TORQUE

PEG_TIP = "peg_tip"
"""Site at the peg's end, with the axes of the tool."""
_TOOL = 'xyaxes="0 0 1 0 -1 0"'  # in the frame of the wrist's roll: z is its x, x its z
_SIDES = 24
_ALUMINIUM = 2700.0  # kg/m³


def so101_peg_mjcf(*, around: str = "") -> str:
    """MJCF of the arm, as `so101_mjcf`; its peg touches what of `around` has conaffinity 1. The peg's contacts are as
    hard as steps of 2.5 ms allow."""
    held = f"""
        <site name="wrench" {_TOOL} group="4" size="0.003"/>
        <site name="{PEG_TIP}" pos="{PEG_END} 0 0" {_TOOL} group="4" size="0.003"/>
        <body name="peg" pos="{PEG_END} 0 0" {_TOOL}>
          <geom name="peg" type="mesh" mesh="peg" density="{_ALUMINIUM}" rgba="0.75 0.77 0.8 1" contype="1"
            conaffinity="0" priority="1" friction="0.2 0.005 0.0001" solref="0.005 1" solimp="0.95 0.99 0.0005"/>
        </body>"""
    sensors = f"""
    <force name="{FORCE}" site="wrench"/>
    <torque name="{TORQUE}" site="wrench"/>"""
    assets = f'\n    <mesh name="peg" vertex="{numbers(_prism().ravel())}"/>'
    return so101_mjcf(held=held, around=around, assets=assets, sensors=sensors)


def _prism() -> np.ndarray:
    """(n, 3) m, in the axes of the tool: corners of a prism within the peg's cylinder, which ends at the origin with a
    chamfer. Its faces touch at points that stay where they are; those of MuJoCo's cylinders jump about."""
    angle = np.linspace(0.0, 2 * math.pi, _SIDES, endpoint=False)
    rings = ((PEG_RADIUS, -PEG_LENGTH), (PEG_RADIUS, -CHAMFER), (PEG_RADIUS - CHAMFER, 0.0))
    return np.concatenate([np.column_stack((r * np.cos(angle), r * np.sin(angle), 0 * angle + z)) for r, z in rings])
