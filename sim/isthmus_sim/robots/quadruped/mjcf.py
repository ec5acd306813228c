"""The quadruped as MJCF: a free trunk and four legs of three hinges, primitive geometry only."""

from __future__ import annotations

from isthmus_sim.robots.inertia import Inertial, merged
from isthmus_sim.robots.quadruped.description import (
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
    LINKS,
    LOADED_HEIGHT,
    LOADED_POSE,
    MOTORS,
    PRONE_HEIGHT,
    PRONE_POSE,
    ROBOT,
    STAND_HEIGHT,
    THIGH,
    THIGH_LENGTH,
    TRUNK,
    TRUNK_SIZE,
)

_SKY = """
    <texture name="sky" type="skybox" builtin="gradient" rgb1="0.78 0.86 0.94" rgb2="0.42 0.55 0.70"
      width="64" height="64"/>"""
_LIGHT = """
    <light pos="1.5 -1.5 4" dir="-0.3 0.3 -1" diffuse="0.55 0.55 0.55" ambient="0.25 0.25 0.25" directional="true"/>"""

_SHELL, _DARK, _METAL, _RUBBER = "0.66 0.67 0.70 1", "0.13 0.14 0.16 1", "0.36 0.38 0.42 1", "0.85 0.35 0.12 1"


def _geom(kind: str, color: str, **attributes: str) -> str:
    text = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f'<geom class="visual" type="{kind}" rgba="{color}" {text}/>'


def _inertial(link: Inertial) -> str:
    com, inertia = (" ".join(f"{value:.9g}" for value in values) for values in (link.com, link.inertia))
    return f'<inertial pos="{com}" mass="{link.mass:.9g}" fullinertia="{inertia}"/>'


def _trunk_look() -> str:
    return "\n      ".join((
        _geom("box", _DARK, size="0.185 0.045 0.05"),
        _geom("box", _SHELL, size="0.125 0.07 0.03", pos="0 0 0.012"),
        _geom("capsule", _SHELL, size="0.03", fromto="-0.125 0.04 0.018 0.125 0.04 0.018"),
        _geom("capsule", _SHELL, size="0.03", fromto="-0.125 -0.04 0.018 0.125 -0.04 0.018"),
        _geom("box", _DARK, size="0.1 0.02 0.005", pos="0 0 0.048"),
        _geom("ellipsoid", _SHELL, size="0.03 0.044 0.045", pos="-0.185 0 0.004"),
        _geom("ellipsoid", _SHELL, size="0.075 0.05 0.045", pos="0.225 0 0.01"),
        _geom("ellipsoid", _DARK, size="0.035 0.04 0.032", pos="0.275 0 0.006"),
        _geom("sphere", "0.30 0.70 0.95 1", size="0.011", pos="0.304 0 0.016"),
    ))  # fmt: skip


def _leg_looks(left: float) -> dict[str, str]:
    knee, foot = f"0 0 -{THIGH_LENGTH}", f"{FOOT_X} 0 -{CALF_LENGTH}"
    return {
        "hip": _geom("cylinder", _METAL, size="0.044 0.028", pos=f"0 {left * 0.05:.4g} 0", zaxis="0 1 0"),
        "thigh": _geom("cylinder", _DARK, size="0.044 0.018", zaxis="0 1 0")
        + _geom("ellipsoid", _SHELL, size="0.03 0.017 0.085", pos="0 0 -0.07")
        + _geom("capsule", _SHELL, size="0.018", fromto=f"0 0 -0.06 {knee}")
        + _geom("cylinder", _DARK, size="0.024 0.019", pos=knee, zaxis="0 1 0"),
        "calf": _geom("capsule", _DARK, size="0.014", fromto="0 0 0 0.012 0 -0.11")
        + _geom("capsule", _DARK, size="0.010", fromto=f"0.012 0 -0.11 {foot}")
        + _geom("sphere", _RUBBER, size=f"{FOOT_RADIUS}", pos=foot),
    }


def _leg(leg: str, scene: bool) -> str:
    front, left = FRONT[leg], LEFT[leg]
    look = _leg_looks(left) if scene else dict.fromkeys(LINKS, "")
    foot = f"{FOOT_X} 0 -{CALF_LENGTH}"
    return f"""
      <body name="{leg}_hip" pos="{front * HIP_X:.9g} {left * HIP_Y:.9g} 0">
        {_inertial(HIP.mirrored(front, left))}
        {_hinge(leg, "hip")}{look["hip"]}
        <body name="{leg}_thigh" pos="0 {left * HIP_LENGTH:.9g} 0">
          {_inertial(THIGH.mirrored(1, left))}
          {_hinge(leg, "thigh")}{look["thigh"]}
          <body name="{leg}_calf" pos="0 0 -{THIGH_LENGTH}">
            {_inertial(merged(CALF.mirrored(1, left), FOOT))}
            {_hinge(leg, "calf")}{look["calf"]}
            <geom name="{leg}" class="collision" size="{FOOT_RADIUS}" pos="{foot}"/>
            <site name="{leg}" group="4" size="{2 * FOOT_RADIUS}" pos="{foot}"/>
          </body>
        </body>
      </body>"""


def _hinge(leg: str, link: str) -> str:
    name = f"{leg}_{link}_joint"
    joint, motor = ROBOT.joints[name], MOTORS[link]
    return (
        f'<joint name="{name}" axis="{"1 0 0" if link == "hip" else "0 1 0"}" limited="true" '
        f'range="{joint.position_min} {joint.position_max}" armature="{motor.armature:.9g}" '
        f'damping="{motor.damping}" frictionloss="{motor.friction}"/>'
    )


def _key(name: str, height: float, pose: tuple[float, ...]) -> str:
    angles = " ".join(f"{angle:.9g}" for angle in pose)
    return f'<key name="{name}" qpos="0 0 {height:.9g} 1 0 0 0 {angles}"/>'


def quadruped_mjcf(*, scene: bool = False, timestep: float = 0.005) -> str:
    """MJCF of the quadruped on a plane, "ground"; `timestep` s. Base frame: x forward, y left, z up.

    Controls are joint torques in N·m, in the order of `JOINTS`; limits are the engine's. Feet and trunk collide with
    the ground alone, whose friction counts. `scene` adds what only pictures need: the robot's looks, sky and light.
    """
    legs = "".join(_leg(leg, scene) for leg in LEGS)
    motors = "".join(f'\n    <motor name="{name}" joint="{name}"/>' for name in JOINTS)
    touch = "".join(f'\n    <touch name="{name}" site="{name}"/>' for name in FEET)
    half = " ".join(f"{size / 2:.9g}" for size in TRUNK_SIZE)
    return f"""
<mujoco model="quadruped">
  <compiler angle="radian" autolimits="false"/>
  <option timestep="{timestep:.9g}" gravity="0 0 -{GRAVITY}" integrator="implicitfast" cone="pyramidal" impratio="10"
    iterations="50" ls_iterations="50"/>
  <visual>
    <global offwidth="960" offheight="720"/>
    <quality shadowsize="0" offsamples="0"/>
    <headlight ambient="0.4 0.4 0.4" diffuse="0.5 0.5 0.5" specular="0 0 0"/>
  </visual>
  <default>
    <default class="visual"><geom contype="0" conaffinity="0" mass="0"/></default>
    <default class="collision"><geom contype="1" conaffinity="0" rgba="0 0 0 0"/></default>
  </default>
  <asset>{_SKY if scene else ""}
    <texture name="ground" type="2d" builtin="checker" rgb1="0.90 0.91 0.92" rgb2="0.82 0.84 0.86"
      width="128" height="128"/>
    <material name="ground" texture="ground" texrepeat="1 1" texuniform="true" reflectance="0"/>
  </asset>
  <worldbody>{_LIGHT if scene else ""}
    <geom name="ground" type="plane" size="0 0 0.1" material="ground" friction="1 0.005 0.0001" priority="1"/>
    <body name="base" pos="0 0 {STAND_HEIGHT:.9g}">
      <freejoint name="base"/>
      {_inertial(TRUNK)}
      <geom name="trunk" class="collision" type="box" size="{half}"/>
      <site name="imu" group="4"/>
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
