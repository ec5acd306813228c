"""The quadruped as MJCF: a free trunk and four legs of three hinges, primitive geometry only."""

from __future__ import annotations

import numpy as np

from isthmus_sim.robots.quadruped import (
    CALF,
    CALF_LENGTH,
    FEET,
    FOOT,
    FOOT_RADIUS,
    FOOT_X,
    FRONT,
    GRAVITY,
    HIP,
    HIP_LENGTH,
    HIP_X,
    HIP_Y,
    JOINTS,
    LEFT,
    LEGS,
    LOADED_HEIGHT,
    LOADED_POSE,
    MOTORS,
    PRONE_HEIGHT,
    PRONE_POSE,
    SPEC,
    STAND_HEIGHT,
    THIGH,
    THIGH_LENGTH,
    TRUNK,
    TRUNK_SIZE,
    Inertial,
)

GROUND = '<geom name="ground" type="plane" size="0 0 0.1" material="ground" friction="1 0.005 0.0001" condim="3"/>'

_ASSETS = """
    <texture name="sky" type="skybox" builtin="gradient" rgb1="0.78 0.86 0.94" rgb2="0.42 0.55 0.70"
      width="64" height="64"/>"""
_GROUND_ASSETS = """
    <texture name="ground" type="2d" builtin="checker" rgb1="0.90 0.91 0.92" rgb2="0.82 0.84 0.86"
      width="128" height="128"/>
    <material name="ground" texture="ground" texrepeat="1 1" texuniform="true" reflectance="0"/>"""
_LIGHT = """
    <light pos="1.5 -1.5 4" dir="-0.3 0.3 -1" diffuse="0.7 0.7 0.7" ambient="0.3 0.3 0.3" directional="true"/>"""

_SHELL, _DARK, _METAL = "0.88 0.89 0.91 1", "0.13 0.14 0.16 1", "0.45 0.47 0.50 1"


def _geom(kind: str, color: str, **attributes: str) -> str:
    text = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f'<geom class="visual" type="{kind}" rgba="{color}" {text}/>'


def _inertial(link: Inertial) -> str:
    com, inertia = (" ".join(f"{value:.9g}" for value in values) for values in (link.com, link.inertia))
    return f'<inertial pos="{com}" mass="{link.mass:.9g}" fullinertia="{inertia}"/>'


def _merged(a: Inertial, b: Inertial) -> Inertial:
    """Two links that are one body."""
    mass = a.mass + b.mass
    com = (a.mass * np.array(a.com) + b.mass * np.array(b.com)) / mass
    inertia = np.zeros(6)
    for part in (a, b):
        x, y, z = np.array(part.com) - com
        shift = np.array((y * y + z * z, x * x + z * z, x * x + y * y, -x * y, -x * z, -y * z))
        inertia += np.array(part.inertia) + part.mass * shift
    return Inertial(mass=mass, com=tuple(com), inertia=tuple(inertia))


def _trunk_look() -> str:
    return "\n      ".join((
        _geom("box", _DARK, size="0.175 0.045 0.048"),
        _geom("box", _SHELL, size="0.13 0.062 0.03", pos="0 0 0.012"),
        _geom("capsule", _SHELL, size="0.035", fromto="-0.12 0 0.022 0.14 0 0.022"),
        _geom("ellipsoid", _SHELL, size="0.075 0.052 0.042", pos="0.24 0 0.012"),
        _geom("ellipsoid", _DARK, size="0.03 0.04 0.03", pos="0.292 0 0.008"),
        _geom("sphere", "0.35 0.75 0.95 1", size="0.012", pos="0.318 0 0.012"),
    ))  # fmt: skip


def _leg(leg: str, look: bool) -> str:
    front, left = FRONT[leg], LEFT[leg]
    y = left * HIP_LENGTH
    hip_look = _geom("cylinder", _METAL, size="0.046 0.03", pos=f"0 {left * 0.05:.4g} 0", zaxis="0 1 0")
    thigh_look = (
        _geom("cylinder", _DARK, size="0.042 0.018", zaxis="0 1 0")
        + _geom("capsule", _SHELL, size="0.022", fromto=f"0 0 -0.01 0 0 -{THIGH_LENGTH}")
        + _geom("cylinder", _DARK, size="0.026 0.016", pos=f"0 0 -{THIGH_LENGTH}", zaxis="0 1 0")
    )
    calf_look = (
        _geom("capsule", _DARK, size="0.013", fromto="0 0 0 0.012 0 -0.11")
        + _geom("capsule", _DARK, size="0.010", fromto=f"0.012 0 -0.11 {FOOT_X} 0 -{CALF_LENGTH}")
        + _geom("sphere", _METAL, size=f"{FOOT_RADIUS}", pos=f"{FOOT_X} 0 -{CALF_LENGTH}")
    )
    if not look:
        hip_look = thigh_look = calf_look = ""
    return f"""
      <body name="{leg}_hip" pos="{front * HIP_X:.9g} {left * HIP_Y:.9g} 0">
        {_inertial(HIP.mirrored(front, left))}
        {_hinge(leg, "hip")}{hip_look}
        <body name="{leg}_thigh" pos="0 {y:.9g} 0">
          {_inertial(THIGH.mirrored(1, left))}
          {_hinge(leg, "thigh")}{thigh_look}
          <body name="{leg}_calf" pos="0 0 -{THIGH_LENGTH}">
            {_inertial(_merged(CALF.mirrored(1, left), FOOT))}
            {_hinge(leg, "calf")}{calf_look}
            <geom name="{leg}" class="collision" size="{FOOT_RADIUS}" pos="{FOOT_X} 0 -{CALF_LENGTH}"/>
            <site name="{leg}" size="{2 * FOOT_RADIUS}" pos="{FOOT_X} 0 -{CALF_LENGTH}"/>
          </body>
        </body>
      </body>"""


def _hinge(leg: str, link: str) -> str:
    name = f"{leg}_{link}_joint"
    joint, motor = SPEC.joints[name], MOTORS[link]
    return (
        f'<joint name="{name}" axis="{"1 0 0" if link == "hip" else "0 1 0"}" limited="true" '
        f'range="{joint.position_min} {joint.position_max}" armature="{motor.armature:.9g}" '
        f'damping="{motor.damping}" frictionloss="{motor.friction}"/>'
    )


def _key(name: str, height: float, pose: tuple[float, ...]) -> str:
    angles = " ".join(f"{angle:.9g}" for angle in pose)
    return f'<key name="{name}" qpos="0 0 {height:.9g} 1 0 0 0 {angles}"/>'


def quadruped_mjcf(
    *, scene: bool = False, timestep: float = 0.005, assets: str | None = None, ground: str | None = None
) -> str:
    """MJCF of the quadruped on the ground; `timestep` s. Base frame: x forward, y left, z up.

    Controls are joint torques in N·m, in the order of `JOINTS`; limits are the engine's. `scene` adds what only
    pictures need: the robot's looks, sky and light. `ground` is the geom (named "ground") to stand on, with the
    `assets` that it needs; a plane by default. The ground's friction counts: the robot's own is below it.
    """
    if ground is None:
        assets, ground = _GROUND_ASSETS, GROUND
    legs = "".join(_leg(leg, scene) for leg in LEGS)
    motors = "".join(f'\n    <motor name="{name}" joint="{name}"/>' for name in JOINTS)
    touch = "".join(f'\n    <touch name="{name}" site="{name}"/>' for name in FEET)
    half = " ".join(f"{size / 2:.9g}" for size in TRUNK_SIZE)
    return f"""
<mujoco model="quadruped">
  <compiler angle="radian" autolimits="false"/>
  <option timestep="{timestep:.9g}" gravity="0 0 -{GRAVITY}" integrator="implicitfast" cone="pyramidal" impratio="10"
    iterations="10" ls_iterations="10"/>
  <visual>
    <global offwidth="960" offheight="720"/>
    <quality shadowsize="0" offsamples="0"/>
    <headlight ambient="0.4 0.4 0.4" diffuse="0.5 0.5 0.5" specular="0 0 0"/>
  </visual>
  <default>
    <default class="visual"><geom contype="0" conaffinity="0" mass="0"/></default>
    <default class="collision">
      <geom contype="1" conaffinity="0" friction="0.01 0.005 0.0001" rgba="0 0 0 0"/>
    </default>
  </default>
  <asset>{_ASSETS if scene else ""}{assets or ""}
  </asset>
  <worldbody>{_LIGHT if scene else ""}
    {ground}
    <body name="base" pos="0 0 {STAND_HEIGHT:.9g}">
      <freejoint name="base"/>
      {_inertial(TRUNK)}
      <geom name="trunk" class="collision" type="box" size="{half}"/>
      <site name="imu"/>
      {_trunk_look() if scene else ""}{legs}
    </body>
  </worldbody>
  <actuator>{motors}
  </actuator>
  <sensor>{touch}
  </sensor>
  <keyframe>
    {_key("stand", LOADED_HEIGHT, LOADED_POSE)}
    {_key("prone", PRONE_HEIGHT, PRONE_POSE)}
  </keyframe>
</mujoco>
"""
