"""The links of SO-101 as MJCF: primitives with the published joints, masses and servos; sizes and sources in `so101`.

The arm collides with what is around it, not with itself. In the frame of the wrist's roll the gripper points along x,
and the moving jaw is above (z) the fixed one.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from isthmus_sim.robots.inertia import Inertial
from isthmus_sim.robots.so101.description import (
    ARMATURE,
    AXIS,
    BACK_EMF,
    BASE,
    DAMPING,
    ENDS,
    FIXED_FACE,
    FRICTION,
    GRIP_WIDTH,
    JAW_LENGTH,
    JOINTS,
    LINKS,
    OFFSET,
    RANGE,
    STALL_TORQUE,
    STIFFNESS,
    TIP_X,
    TIP_Z,
    Vector3,
    grip_angle,
)

TIP = "gripper_tip"
"""Site between the jaws, the tool centre point: z out of the gripper, x to the moving jaw, y across the jaws."""
JAWS = ("gripper", "moving_jaw_face")
"""Bodies of the fixed and of the moving jaw."""
WRIST_CAMERA = ((0.025, 0.055, 0.012), 0.57)
"""Where it is in the frame of the wrist's roll, m, and how far it is turned inwards, rad: as on Menagerie's mount, but
2 cm farther back and 1 cm towards the moving jaw, to see both when they are open."""

_BODIES = dict(zip(JOINTS, ("shoulder", "upper_arm", "lower_arm", "wrist", "gripper", "moving_jaw"), strict=True))
_PRINT, _SERVO, _RUBBER = "1 0.78 0.12 1", "0.12 0.12 0.13 1", "0.22 0.23 0.25 1"
_SERVO_SIZE = (0.0226, 0.0123, 0.0178)  # m, half of 45.2 x 24.7 x 35.6


def numbers(values: ArrayLike) -> str:
    """As MJCF has them."""
    return " ".join(f"{value:.9g}" for value in np.asarray(values, np.float64))


def _box(kind: str, color: str, low: Vector3, high: Vector3, more: str = "") -> str:
    """A box by its least and greatest corner."""
    a, b = np.array(low), np.array(high)
    return (
        f'<geom class="{kind}" type="box" pos="{numbers((a + b) / 2)}" size="{numbers((b - a) / 2)}" '
        f'rgba="{color}" {more}/>'
    )


def _servo(place: Vector3, size: Vector3) -> str:
    return f'<geom class="visual" type="box" pos="{numbers(place)}" size="{numbers(size)}" rgba="{_SERVO}"/>'


def _horn(color: str = _PRINT, half: float = 0.024, radius: float = 0.013) -> str:
    """The round end of a link around a joint that turns about y."""
    return f'<geom class="visual" type="cylinder" size="{radius} {half}" zaxis="0 1 0" rgba="{color}"/>'


def _beam(start: Vector3, end: Vector3, radius: float) -> str:
    ends = f"{numbers(start)} {numbers(end)}"
    return f'<geom class="collision" type="capsule" fromto="{ends}" size="{radius}" rgba="{_PRINT}"/>'


def _fixed_jaw() -> str:
    """Frame of the wrist's roll: servo, palm, and the jaw that does not move."""
    low, face = FIXED_FACE - 0.005, FIXED_FACE
    more = 'name="fixed_jaw"'
    return "\n".join((
        _servo((0.025, 0.0, 0.008), (_SERVO_SIZE[0], _SERVO_SIZE[2], _SERVO_SIZE[1])),
        _box("collision", _PRINT, (0.0, -0.02, -0.02), (0.05, 0.02, -0.006)),
        _box("visual", _PRINT, (0.048, -0.012, low - 0.004), (0.085, 0.012, low)),
        _box("jaw", _RUBBER, (0.048, -0.009, low), (JAW_LENGTH, 0.009, face), more),
    ))  # fmt: skip


def _moving_jaw() -> str:
    """Frame of the gripper's joint. Its face is level when the jaws hold GRIP_WIDTH."""
    along, below = ENDS
    angle = grip_angle(GRIP_WIDTH)
    end = along * math.cos(angle) + below * math.sin(angle)
    face = along * math.sin(angle) - below * math.cos(angle)
    return f"""{_horn(_PRINT, 0.018, 0.011)}
              <body name="moving_jaw_face" euler="0 {angle:.9g} 0">
                {_box("jaw", _RUBBER, (0.024, -0.009, face), (end, 0.009, face + 0.005), 'name="moving_jaw"')}
                {_box("visual", _PRINT, (0.0, -0.011, face + 0.005), (end - 0.02, 0.011, face + 0.012))}
              </body>"""


def _looks(joint: str) -> str:
    """What is in the frame of the link that a joint moves."""
    length, depth, height = _SERVO_SIZE
    parts = {
        "shoulder_pan": (
            f'<geom class="visual" type="cylinder" size="0.026 0.008" pos="0 0 0.004" rgba="{_PRINT}"/>',
            _servo((0.024, 0.0, 0.034), (depth, height, length)),
            _box("visual", _PRINT, (0.004, -0.024, 0.01), (0.05, -0.018, 0.062)),
            _box("visual", _PRINT, (0.004, 0.018, 0.01), (0.05, 0.024, 0.062)),
        ),
        "shoulder_lift": (
            _horn(),
            _beam((0.008, 0.0, 0.01), (0.012, 0.0, 0.1), 0.016),
            _servo((0.018, 0.0, 0.104), (depth, height, length)),
        ),
        "elbow_flex": (
            _horn(),
            _beam((0.014, 0.0, 0.0), (0.105, 0.0, 0.003), 0.014),
            _servo((0.116, 0.0, 0.005), (length, height, depth)),
        ),
        "wrist_flex": (
            _horn(),
            _servo((0.034, 0.0, 0.0), (length, height, depth)),
            _beam((0.02, 0.0, 0.0), (0.045, 0.0, 0.0), 0.015),
        ),
        "wrist_roll": (_fixed_jaw(), _camera_mount()),
        "gripper": (_moving_jaw(),),
    }
    return "\n".join(parts[joint])


def _camera_mount() -> str:
    place, turn = WRIST_CAMERA
    c, s = math.cos(turn), math.sin(turn)
    back = np.array(place) - 0.012 * np.array((c, -s, 0.0))
    return "\n".join((
        f'<camera name="wrist" pos="{numbers(place)}" xyaxes="0 0 1 {s:.9g} {c:.9g} 0" fovy="80"/>',
        f'<geom class="collision" type="box" pos="{numbers(back)}" size="0.008 0.016 0.016" '
        f'euler="0 0 {-turn}" rgba="{_SERVO}"/>',
        _box("visual", _PRINT, (0.004, 0.018, 0.0), (0.01, 0.056, 0.024)),
    ))  # fmt: skip


def _inertial(link: Inertial) -> str:
    return f'<inertial pos="{numbers(link.com)}" mass="{link.mass:.9g}" fullinertia="{numbers(link.inertia)}"/>'


def arm(held: str = "") -> str:
    """The body "base", which stands at the origin, with all links, and what is `held` fixed to the gripper."""
    site = f'<site name="{TIP}" pos="{TIP_X} 0 {TIP_Z:.9g}" xyaxes="0 0 1 0 -1 0" group="4" size="0.003"/>'
    text = ""
    for joint in reversed(JOINTS):
        low, high = RANGE[joint]
        text = f"""
      <body name="{_BODIES[joint]}" pos="{numbers(OFFSET[joint])}">
        <joint name="{joint}" axis="{numbers(AXIS[joint])}" range="{low} {high}"/>
        {_inertial(LINKS[joint])}
        {_looks(joint)}{site + held if joint == "wrist_roll" else ""}{text}
      </body>"""
    return f"""
    <body name="base">
      {_base()}{text}
    </body>"""


def _base() -> str:
    return "\n".join((
        _inertial(BASE),
        _box("collision", _PRINT, (-0.045, -0.034, 0.0), (0.062, 0.034, 0.016)),
        _box("collision", _PRINT, (-0.02, -0.02, 0.016), (0.05, 0.02, 0.03)),
        _servo((0.026, 0.0, 0.044), (_SERVO_SIZE[0], _SERVO_SIZE[1], 0.0178)),
    ))  # fmt: skip


def defaults() -> str:
    """Classes of geoms, and what all joints have in common."""
    return f"""
    <joint damping="{BACK_EMF:.9g}" frictionloss="{FRICTION}" armature="{ARMATURE}"/>
    <default class="visual"><geom contype="0" conaffinity="0" group="2" mass="0"/></default>
    <default class="collision"><geom contype="1" conaffinity="0" mass="0"/></default>
    <default class="jaw">
      <geom contype="1" conaffinity="0" condim="4" friction="1 0.02 0.0001" priority="1" mass="0"/>
    </default>"""


def servos() -> str:
    """Position actuators, of the joints' names; controls in rad."""
    return "".join(
        f'\n    <position name="{name}" joint="{name}" kp="{STIFFNESS}" kv="{DAMPING}" '
        f'forcerange="-{STALL_TORQUE:.9g} {STALL_TORQUE:.9g}" ctrlrange="{RANGE[name][0]} {RANGE[name][1]}"/>'
        for name in JOINTS
    )
