"""Robots as their makers would describe them, small, for tests to spoil: a dog in URDF and in MJCF."""

from __future__ import annotations

import numpy as np

from isthmus_sim.robots.quadruped.description import FRONT, LEFT, LEGS

_INERTIA = 'ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"'
RANGES = {"hip": (-1.0, 1.0), "thigh": (-1.5, 4.0), "calf": (-2.7, -0.8)}


def _link(name: str, mass: float, shape: str = "") -> str:
    collision = f"<collision><geometry>{shape}</geometry></collision>" if shape else ""
    return f'<link name="{name}"><inertial><mass value="{mass}"/><inertia {_INERTIA}/></inertial>{collision}</link>'


def _hinge(leg: str, link: str, parent: str, origin: str) -> str:
    low, high = RANGES[link]
    axis = "1 0 0" if link == "hip" else "0 1 0"
    return (
        f'<joint name="{leg}_{link}_joint" type="revolute"><parent link="{parent}"/><child link="{leg}_{link}"/>'
        f'<origin xyz="{origin}"/><axis xyz="{axis}"/>'
        f'<limit lower="{low}" upper="{high}" effort="20" velocity="20"/></joint>'
    )


def _urdf_leg(leg: str) -> str:
    front, left = FRONT[leg], LEFT[leg]
    return (
        _link(f"{leg}_hip", 0.5)
        + _link(f"{leg}_thigh", 1.0)
        + _link(f"{leg}_calf", 0.2)
        + _link(f"{leg}_foot", 0.05, '<sphere radius="0.02"/>')
        + _hinge(leg, "hip", "base", f"{0.2 * front} {0.05 * left} 0")
        + _hinge(leg, "thigh", f"{leg}_hip", f"0 {0.08 * left} 0")
        + _hinge(leg, "calf", f"{leg}_thigh", "0 0 -0.2")
        + f'<joint name="{leg}_foot_joint" type="fixed"><parent link="{leg}_calf"/><child link="{leg}_foot"/>'
        '<origin xyz="0 0 -0.2"/></joint>'
    )


# A robot as its maker would describe it: legs in another order, feet welded on, nothing of this project's.
URDF = f"""<robot name="dog">{_link("base", 6.0, '<box size="0.4 0.1 0.1"/>')}{"".join(map(_urdf_leg, LEGS[::-1]))}
</robot>"""


def _mjcf_leg(leg: str) -> str:
    front, left = FRONT[leg], LEFT[leg]
    (h0, h1), (t0, t1), (c0, c1) = (np.degrees(RANGES[link]) for link in RANGES)
    return f"""<body name="{leg}1" pos="{0.2 * front} {0.05 * left} 0">
      <joint name="{leg}_hip" axis="1 0 0" range="{h0} {h1}"/><geom type="sphere" size="0.04" mass="0.5"/>
      <body name="{leg}2" pos="0 {0.08 * left} 0">
        <joint name="{leg}_thigh" axis="0 1 0" range="{t0} {t1}" damping="2"/>
        <geom type="capsule" size="0.02" fromto="0 0 0 0 0 -0.2" mass="1"/>
        <body name="{leg}3" pos="0 0 -0.2"><joint name="{leg}_calf" axis="0 1 0" range="{c0} {c1}"/>
          <geom type="sphere" size="0.03" mass="0.1"/>
          <geom type="sphere" size="0.02" mass="0.1" pos="{0.01 * left} 0 -0.2" priority="1"/></body></body></body>"""


# In degrees, joints without their ending, a floor, position servos, a sensor and a key frame.
MJCF = f"""<mujoco><worldbody><geom name="floor" type="plane" size="5 5 1"/><body name="trunk" pos="0 0 0.5">
  <freejoint/><geom type="box" size="0.2 0.05 0.05" mass="6"/>{"".join(map(_mjcf_leg, LEGS))}</body></worldbody>
  <actuator><position name="servo" joint="RR_calf" kp="9"/></actuator>
  <sensor><jointpos joint="RR_calf"/></sensor><keyframe><key name="home" ctrl="-1"/></keyframe></mujoco>"""
