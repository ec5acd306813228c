"""The biped as MJCF: a free pelvis with trunk and arms, two legs of six hinges, primitive geometry only."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus_sim.robots.biped.description import (
    DEFAULT_POSE,
    FEET,
    GRAVITY,
    HULL,
    HULL_RADIUS,
    JOINTS,
    ROBOT,
    SOLE_MIDDLE,
    STAND_HEIGHT,
    motor_of,
)
from isthmus_sim.robots.biped.links import ARM, BODY, LEFT, LEG, SIDES, SOLE, SOLE_RADIUS, Link, frames
from isthmus_sim.robots.legged_mjcf import (
    DARK,
    LAMP,
    METAL,
    RUBBER,
    SHELL,
    hinge,
    inertial,
    legged_mjcf,
    look,
    numbers,
)


def _limb(color: str, radius: float, start: Iterable[float], end: Iterable[float]) -> str:
    return look("capsule", color, size=f"{radius}", fromto=numbers(*start, *end))


def _body_look() -> str:
    arms = (_arm_look(side) for side in SIDES)
    return "\n      ".join((
        look("ellipsoid", SHELL, size="0.065 0.075 0.06", pos="0 0 -0.075"),
        look("cylinder", DARK, size="0.05 0.06", pos="0 0 0.01"),
        look("ellipsoid", SHELL, size="0.075 0.088 0.08", pos="0 0 0.1"),
        look("ellipsoid", SHELL, size="0.085 0.11 0.13", pos="0 0 0.22"),
        look("ellipsoid", DARK, size="0.02 0.05 0.06", pos="0.072 0 0.235"),
        look("cylinder", DARK, size="0.033 0.04", pos="0 0 0.355"),
        look("ellipsoid", SHELL, size="0.07 0.062 0.085", pos="0.005 0 0.44"),
        look("ellipsoid", DARK, size="0.045 0.05 0.06", pos="0.036 0 0.44"),
        look("capsule", LAMP, size="0.006", fromto="0.074 -0.022 0.455 0.074 0.022 0.455"),
        *arms,
    ))  # fmt: skip


def _arm_look(side: str) -> str:
    shoulder, roll, _, elbow, hand = (tuple(position) for _, position in frames(ARM, side))
    palm = (hand[0] + 0.06, hand[1], hand[2])
    return "\n      ".join((
        _limb(METAL, 0.035, shoulder, roll),
        look("sphere", SHELL, size="0.045", pos=numbers(*roll)),
        _limb(SHELL, 0.03, roll, elbow),
        look("cylinder", DARK, size="0.032 0.026", pos=numbers(*elbow), zaxis="0 1 0"),
        _limb(SHELL, 0.026, elbow, hand),
        _limb(DARK, 0.022, hand, palm),
        look("ellipsoid", METAL, size="0.045 0.018 0.03", pos=numbers(palm[0] + 0.03, palm[1], palm[2])),
    ))  # fmt: skip


def _leg_looks(left: float) -> dict[str, str]:
    """What is seen of each link, in the frame of its joint."""
    knee = LEG["knee"].offset[0], left * LEG["knee"].offset[1], LEG["knee"].offset[2]
    ankle = (0.0, 0.0, LEG["ankle_pitch"].offset[2])
    return {
        "hip_pitch": look("cylinder", DARK, size="0.05 0.03", pos=numbers(0, left * 0.03, 0), zaxis="0 1 0")
        + _limb(METAL, 0.035, (0, left * 0.05, -0.005), (0, left * 0.052, -0.03)),
        "hip_roll": look("cylinder", METAL, size="0.045 0.045", zaxis="1 0 0")
        + _limb(SHELL, 0.045, (0.01, 0, -0.03), LEG["hip_yaw"].offset),
        "hip_yaw": _limb(SHELL, 0.05, (-0.01, 0, -0.02), (0.75 * knee[0], knee[1], 0.75 * knee[2]))
        + _limb(SHELL, 0.04, (0.6 * knee[0], knee[1], 0.6 * knee[2]), knee)
        + look("cylinder", DARK, size="0.043 0.042", pos=numbers(*knee), zaxis="0 1 0"),
        "knee": _limb(SHELL, 0.04, (0.012, 0, -0.05), (0.012, 0, -0.13)) + _limb(DARK, 0.026, (0.008, 0, -0.1), ankle),
        "ankle_pitch": look("cylinder", METAL, size="0.024 0.03", zaxis="0 1 0"),
        "ankle_roll": _limb(DARK, 0.02, (-0.035, 0, -0.012), (0.08, 0, -0.016))
        + look("box", RUBBER, size="0.08 0.024 0.009", pos="0.035 0 -0.026")
        + look("cylinder", RUBBER, size="0.028 0.009", pos="0.1 0 -0.026")
        + look("cylinder", RUBBER, size="0.024 0.009", pos="-0.04 0 -0.026"),
    }


def _sole(side: str) -> str:
    """The balls that a foot stands on, and around them the site that feels them."""
    balls = (
        f'<geom name="{side}_foot_{i}" class="collision" size="{SOLE_RADIUS}" pos="{numbers(*ball)}"/>'
        for i, ball in enumerate(SOLE)
    )
    site = f'<site name="{side}_foot" type="box" group="4" size="0.1 0.045 0.02" pos="{numbers(*SOLE_MIDDLE)}"/>'
    return "\n        ".join((*balls, site))


def _leg(side: str, scene: bool) -> str:
    looks = _leg_looks(LEFT[side]) if scene else dict.fromkeys(LEG, "")
    text = _sole(side)
    for name, link in reversed(LEG.items()):
        text = _link(side, name, link, looks[name] + text)
    return text


def _link(side: str, name: str, link: Link, content: str) -> str:
    """A link's body with what is in it. Legs are tilted about y alone."""
    assert link.axis is not None
    joint, (x, y, z) = f"{side}_{name}_joint", link.offset
    return f"""
      <body name="{side}_{name}_link" pos="{numbers(x, LEFT[side] * y, z)}" euler="0 {link.tilt[1]} 0">
        {inertial(link.inertial.mirrored(1, LEFT[side]))}
        {hinge(joint, link.axis, ROBOT.joints[joint], motor_of(joint))}
        {content}
      </body>"""


def biped_mjcf(*, scene: bool = False, timestep: float = 0.005) -> str:
    """MJCF of the biped on a plane, "ground"; `timestep` s. Base frame, the pelvis's: x forward, y left, z up.

    Controls are joint torques in N·m, in the order of `JOINTS`; limits are the engine's. Soles and the hull around the
    trunk collide with the ground alone, whose friction counts. `scene` adds what only images need: the robot's looks,
    sky and light.
    """
    base = f"""{inertial(BODY)}
      <geom name="trunk" class="collision" type="capsule" size="{HULL_RADIUS}" fromto="{numbers(*HULL[0], *HULL[1])}"/>
      <site name="imu" group="4" pos="0.04525 0 -0.08339"/>
      {_body_look() if scene else ""}{"".join(_leg(side, scene) for side in SIDES)}"""
    return legged_mjcf(
        "biped", base, height=STAND_HEIGHT, joints=JOINTS, feet=FEET, keys={"stand": (STAND_HEIGHT, DEFAULT_POSE)},
        gravity=GRAVITY, timestep=timestep, scene=scene,
    )  # fmt: skip
