"""What the models of robots with legs have in common as MJCF: a plane to stand on, light, and parts in one style."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from isthmus_sim.actuators import Motor
from isthmus_sim.description import Vector3
from isthmus_sim.robots.inertia import Inertial
from isthmus_sim.specs import JointSpec

SHELL, DARK, METAL, RUBBER = "0.66 0.67 0.70 1", "0.13 0.14 0.16 1", "0.36 0.38 0.42 1", "0.85 0.35 0.12 1"
LAMP = "0.30 0.70 0.95 1"

_SKY = """
    <texture name="sky" type="skybox" builtin="gradient" rgb1="0.78 0.86 0.94" rgb2="0.42 0.55 0.70"
      width="64" height="64"/>"""
_LIGHT = """
    <light pos="1.5 -1.5 4" dir="-0.3 0.3 -1" diffuse="0.55 0.55 0.55" ambient="0.25 0.25 0.25" directional="true"/>"""


def numbers(*values: float) -> str:
    """As MJCF has them."""
    return " ".join(f"{value:.9g}" for value in values)


def look(kind: str, color: str, **attributes: str) -> str:
    """A geom that is only seen."""
    text = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f'<geom class="visual" type="{kind}" rgba="{color}" {text}/>'


def inertial(link: Inertial) -> str:
    """The mass of a link."""
    return f'<inertial pos="{numbers(*link.com)}" mass="{link.mass:.9g}" fullinertia="{numbers(*link.inertia)}"/>'


def hinge(name: str, axis: Vector3, joint: JointSpec, motor: Motor) -> str:
    """A joint with its limits and what its drive adds."""
    return (
        f'<joint name="{name}" axis="{numbers(*axis)}" limited="true" '
        f'range="{joint.position_min} {joint.position_max}" armature="{motor.armature:.9g}" '
        f'damping="{motor.damping}" frictionloss="{motor.friction}"/>'
    )


def legged_mjcf(
    name: str,
    base: str,
    *,
    height: float,
    joints: Iterable[str],
    feet: Iterable[str],
    keys: Mapping[str, tuple[float, tuple[float, ...]]],
    gravity: float,
    timestep: float,
    scene: bool,
) -> str:
    """MJCF of a robot on a plane, "ground".

    Geoms of class "collision" touch the ground alone, whose friction counts; those of class "visual" are only seen.

    Args:
        name: Name of the model.
        base: What is in the body "base", which moves freely: its mass, geoms, sites and the legs.
        height: Height of the base over the ground, m.
        joints: They have a torque motor each, of the joint's name, in this order.
        feet: Sites, each with a touch sensor of its name.
        keys: Name of a key frame -> height of the level base, m, and joint angles, rad.
        gravity: m/s², downwards.
        timestep: s.
        scene: Whether there are sky and light.
    """
    motors = "".join(f'\n    <motor name="{joint}" joint="{joint}"/>' for joint in joints)
    touch = "".join(f'\n    <touch name="{foot}" site="{foot}"/>' for foot in feet)
    frames = "".join(
        f'\n    <key name="{key}" qpos="0 0 {numbers(up)} 1 0 0 0 {numbers(*pose)}"/>'
        for key, (up, pose) in keys.items()
    )
    return f"""
<mujoco model="{name}">
  <compiler angle="radian" autolimits="false"/>
  <option timestep="{timestep:.9g}" gravity="0 0 -{gravity}" integrator="implicitfast" cone="pyramidal" impratio="10"
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
    <body name="base" pos="0 0 {height:.9g}">
      <freejoint name="base"/>
      {base}
    </body>
  </worldbody>
  <actuator>{motors}
  </actuator>
  <sensor>{touch}
  </sensor>
  <keyframe>{frames}
  </keyframe>
</mujoco>
"""
