"""The quadrotor as MJCF: a free body, four thrust sites, primitive geometry only."""

from __future__ import annotations

from isthmus_sim.robots.quadrotor.description import (
    CRAZYFLIE,
    GRAVITY,
    ROTOR_X,
    ROTOR_Y,
    ROTOR_YAW,
    ROTORS,
    QuadrotorParameters,
)

_SCENE = """
    <light pos="1.5 -1.5 4" dir="-0.3 0.3 -1" diffuse="0.8 0.8 0.8" ambient="0.35 0.35 0.35"/>
    <geom name="ground" type="plane" size="0 0 0.1" material="ground" condim="3"/>"""

_ASSETS = """
  <asset>
    <texture name="sky" type="skybox" builtin="gradient" rgb1="0.78 0.86 0.94" rgb2="0.42 0.55 0.70"
      width="64" height="64"/>
    <texture name="ground" type="2d" builtin="checker" rgb1="0.90 0.91 0.92" rgb2="0.82 0.84 0.86"
      width="128" height="128"/>
    <material name="ground" texture="ground" texrepeat="2 2" texuniform="true" reflectance="0"/>
  </asset>"""


def _rotor(index: int, arm: float) -> str:
    x, y, name = ROTOR_X[index] * arm, ROTOR_Y[index] * arm, ROTORS[index]
    color = "0.85 0.25 0.20 1" if x > 0 else "0.15 0.17 0.20 1"
    return f"""
      <site name="{name}" pos="{x:.6g} {y:.6g} 0"/>
      <geom type="capsule" fromto="0 0 0 {x:.6g} {y:.6g} 0" size="0.0035" rgba="0.2 0.22 0.25 1" class="visual"/>
      <geom type="cylinder" pos="{x:.6g} {y:.6g} 0.008" size="0.023 0.0015" rgba="{color}" class="visual"/>"""


def quadrotor_mjcf(parameters: QuadrotorParameters = CRAZYFLIE, *, scene: bool = False, timestep: float = 0.002) -> str:
    """MJCF of one quadrotor with `parameters`; `scene` adds ground, contact and light; `timestep` s.

    Each actuator's control is a rotor's thrust in N; its gear adds the yaw reaction torque. Body x forward, y left, z
    up.
    """
    rotors = "".join(_rotor(i, parameters.arm) for i in range(4))
    motors = "".join(
        f'\n    <motor name="{name}" site="{name}" gear="0 0 1 0 0 {yaw * parameters.torque_ratio:.9g}"/>'
        for name, yaw in zip(ROTORS, ROTOR_YAW, strict=True)
    )
    inertia = " ".join(f"{value:.9g}" for value in parameters.inertia)
    contact = "1" if scene else "0"
    return f"""
<mujoco model="quadrotor">
  <compiler angle="radian" inertiafromgeom="false"/>
  <option timestep="{timestep:.9g}" gravity="0 0 -{GRAVITY}"/>
  <visual>
    <global offwidth="960" offheight="720"/>
    <quality shadowsize="0" offsamples="0"/>
    <headlight ambient="0.4 0.4 0.4" diffuse="0.5 0.5 0.5" specular="0 0 0"/>
  </visual>
  <default><default class="visual"><geom contype="0" conaffinity="0"/></default></default>{_ASSETS if scene else ""}
  <worldbody>{_SCENE if scene else ""}
    <body name="base" pos="0 0 0.02">
      <freejoint name="base"/>
      <inertial pos="0 0 0" mass="{parameters.mass:.9g}" diaginertia="{inertia}"/>
      <geom name="hull" type="box" size="0.034 0.034 0.012" rgba="0 0 0 0"
        contype="{contact}" conaffinity="{contact}"/>
      <geom type="box" size="0.016 0.016 0.009" rgba="0.2 0.22 0.25 1" class="visual"/>{rotors}
    </body>
  </worldbody>
  <actuator>{motors}
  </actuator>
</mujoco>
"""
