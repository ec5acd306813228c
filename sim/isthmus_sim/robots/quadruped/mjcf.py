"""The quadruped as MJCF: a free trunk and four legs of three hinges, primitive geometry only."""

from __future__ import annotations

from isthmus_sim.robots.inertia import merged
from isthmus_sim.robots.legged_mjcf import DARK, LAMP, METAL, RUBBER, SHELL, hinge, inertial, legged_mjcf, look
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


def _trunk_look() -> str:
    return "\n      ".join((
        look("box", DARK, size="0.185 0.045 0.05"),
        look("box", SHELL, size="0.125 0.07 0.03", pos="0 0 0.012"),
        look("capsule", SHELL, size="0.03", fromto="-0.125 0.04 0.018 0.125 0.04 0.018"),
        look("capsule", SHELL, size="0.03", fromto="-0.125 -0.04 0.018 0.125 -0.04 0.018"),
        look("box", DARK, size="0.1 0.02 0.005", pos="0 0 0.048"),
        look("ellipsoid", SHELL, size="0.03 0.044 0.045", pos="-0.185 0 0.004"),
        look("ellipsoid", SHELL, size="0.075 0.05 0.045", pos="0.225 0 0.01"),
        look("ellipsoid", DARK, size="0.035 0.04 0.032", pos="0.275 0 0.006"),
        look("sphere", LAMP, size="0.011", pos="0.304 0 0.016"),
    ))  # fmt: skip


def _leg_looks(left: float) -> dict[str, str]:
    knee, foot = f"0 0 -{THIGH_LENGTH}", f"{FOOT_X} 0 -{CALF_LENGTH}"
    return {
        "hip": look("cylinder", METAL, size="0.044 0.028", pos=f"0 {left * 0.05:.4g} 0", zaxis="0 1 0"),
        "thigh": look("cylinder", DARK, size="0.044 0.018", zaxis="0 1 0")
        + look("ellipsoid", SHELL, size="0.03 0.017 0.085", pos="0 0 -0.07")
        + look("capsule", SHELL, size="0.018", fromto=f"0 0 -0.06 {knee}")
        + look("cylinder", DARK, size="0.024 0.019", pos=knee, zaxis="0 1 0"),
        "calf": look("capsule", DARK, size="0.014", fromto="0 0 0 0.012 0 -0.11")
        + look("capsule", DARK, size="0.010", fromto=f"0.012 0 -0.11 {foot}")
        + look("sphere", RUBBER, size=f"{FOOT_RADIUS}", pos=foot),
    }


def _leg(leg: str, scene: bool) -> str:
    front, left = FRONT[leg], LEFT[leg]
    looks = _leg_looks(left) if scene else dict.fromkeys(LINKS, "")
    foot = f"{FOOT_X} 0 -{CALF_LENGTH}"
    return f"""
      <body name="{leg}_hip" pos="{front * HIP_X:.9g} {left * HIP_Y:.9g} 0">
        {inertial(HIP.mirrored(front, left))}
        {_hinge(leg, "hip")}{looks["hip"]}
        <body name="{leg}_thigh" pos="0 {left * HIP_LENGTH:.9g} 0">
          {inertial(THIGH.mirrored(1, left))}
          {_hinge(leg, "thigh")}{looks["thigh"]}
          <body name="{leg}_calf" pos="0 0 -{THIGH_LENGTH}">
            {inertial(merged(CALF.mirrored(1, left), FOOT))}
            {_hinge(leg, "calf")}{looks["calf"]}
            <geom name="{leg}" class="collision" size="{FOOT_RADIUS}" pos="{foot}"/>
            <site name="{leg}" group="4" size="{2 * FOOT_RADIUS}" pos="{foot}"/>
          </body>
        </body>
      </body>"""


def _hinge(leg: str, link: str) -> str:
    name = f"{leg}_{link}_joint"
    return hinge(name, (1, 0, 0) if link == "hip" else (0, 1, 0), ROBOT.joints[name], MOTORS[link])


def quadruped_mjcf(*, scene: bool = False, timestep: float = 0.005) -> str:
    """MJCF of the quadruped on a plane, "ground"; `timestep` s. Base frame: x forward, y left, z up.

    Controls are joint torques in N·m, in the order of `JOINTS`; limits are the engine's. Feet and trunk collide with
    the ground alone, whose friction counts. `scene` adds what only images need: the robot's looks, sky and light.
    """
    half = " ".join(f"{size / 2:.9g}" for size in TRUNK_SIZE)
    base = f"""{inertial(TRUNK)}
      <geom name="trunk" class="collision" type="box" size="{half}"/>
      <site name="imu" group="4"/>
      {_trunk_look() if scene else ""}{"".join(_leg(leg, scene) for leg in LEGS)}"""
    return legged_mjcf(
        "quadruped", base, height=STAND_HEIGHT, joints=JOINTS, feet=FEET,
        keys={"stand": (LOADED_HEIGHT, LOADED_POSE), "prone": (PRONE_HEIGHT, PRONE_POSE)},
        gravity=GRAVITY, timestep=timestep, scene=scene,
    )  # fmt: skip
