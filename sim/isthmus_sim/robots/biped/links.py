"""The links of Unitree G1 as published: where they are, what they weigh, and where joint angles put them.

Source: g1_23dof_rev_1_0.urdf of github.com/unitreerobotics/unitree_ros. With waist and arms fixed at zero this is the
g1_12dof model that unitree_rl_gym trains: 32.107 kg, 17.735 kg of it in pelvis, torso, head and arms, one body here.

The right side is the left one's mirror image. Unitree's differs from that in the sign of one product of inertia of the
shank (4.5e-5 kg·m²), and its right shoulder sits 10 µm farther in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from isthmus_sim.description import Vector3
from isthmus_sim.robots.inertia import Inertial, merged

Array = NDArray[np.float64]

SIDES = ("left", "right")
LEFT = {"left": 1.0, "right": -1.0}  # sign of the side's y

ROLL, PITCH, YAW = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
"""Axes that joints turn about, in the frame of the link that they move."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A link of the left side, in the frame of the link before it."""

    offset: Vector3 = (0.0, 0.0, 0.0)
    """Position of its frame, m."""
    tilt: Vector3 = (0.0, 0.0, 0.0)
    """How its frame is turned when its joint is at zero: roll, pitch and yaw about fixed axes, rad, as in URDF."""
    axis: Vector3 | None = None
    """Axis of its joint, in its own frame; None where it is fixed."""
    inertial: Inertial


LEG = {
    "hip_pitch": Link(
        offset=(0.0, 0.064452, -0.1027),
        axis=PITCH,
        inertial=Inertial(
            mass=1.35,
            com=(0.002741, 0.047791, -0.02606),
            inertia=(0.001811, 0.0014193, 0.0012812, 3.68e-5, -3.44e-5, 0.000171),
        ),
    ),
    "hip_roll": Link(
        offset=(0.0, 0.052, -0.030465),
        tilt=(0.0, -0.1749, 0.0),
        axis=ROLL,
        inertial=Inertial(
            mass=1.52,
            com=(0.029812, -0.001045, -0.087934),
            inertia=(0.0023773, 0.0024123, 0.0016595, -3.8e-6, -0.0003908, 1.84e-5),
        ),
    ),
    "hip_yaw": Link(
        offset=(0.025001, 0.0, -0.12412),
        axis=YAW,
        inertial=Inertial(
            mass=1.702,
            com=(-0.057709, -0.010981, -0.15078),
            inertia=(0.0057774, 0.0076124, 0.003149, -0.0005411, -0.0023948, -0.0007072),
        ),
    ),
    "knee": Link(
        offset=(-0.078273, 0.0021489, -0.17734),
        tilt=(0.0, 0.1749, 0.0),
        axis=PITCH,
        inertial=Inertial(
            mass=1.932,
            com=(0.005457, 0.003964, -0.12074),
            inertia=(0.011329, 0.011277, 0.0015168, 4.82e-5, -4.49e-5, -0.0007146),
        ),
    ),
    "ankle_pitch": Link(
        offset=(0.0, -9.4445e-5, -0.30001),
        axis=PITCH,
        inertial=Inertial(
            mass=0.074, com=(-0.007269, 0.0, 0.011137), inertia=(8.4e-6, 1.89e-5, 1.26e-5, 0.0, -2.9e-6, 0.0)
        ),
    ),
    "ankle_roll": Link(
        offset=(0.0, 0.0, -0.017558),
        axis=ROLL,
        inertial=Inertial(
            mass=0.608,
            com=(0.026505, 0.0, -0.016425),
            inertia=(0.0002231, 0.0016161, 0.0016667, 2e-7, 8.91e-5, -1e-7),
        ),
    ),
}
"""From the pelvis to the foot, by joint."""

SOLE: tuple[Vector3, ...] = ((-0.05, 0.025, -0.03), (-0.05, -0.025, -0.03), (0.12, 0.03, -0.03), (0.12, -0.03, -0.03))
"""Middles of the balls that a foot stands on, two at the heel, two at the toes: m, in the frame of the ankle's roll."""
SOLE_RADIUS = 0.005  # m

_SPECK = Inertial(mass=0.001, com=(0.0, 0.0, 0.0), inertia=(1e-7, 1e-7, 1e-7, 0.0, 0.0, 0.0))
TRUNK = {
    "pelvis": Link(
        inertial=Inertial(mass=3.813, com=(0.0, 0.0, -0.07605), inertia=(0.010549, 0.0093089, 0.0079184, 0, 2.1e-6, 0))
    ),
    "shell": Link(inertial=_SPECK),
    "torso": Link(
        offset=(-0.0039635, 0.0, 0.044),
        inertial=Inertial(
            mass=6.78,
            com=(0.000931, 0.000346, 0.15082),
            inertia=(0.05905, 0.047014, 0.025652, 3.3302e-5, -0.0017715, -2.2399e-5),
        ),
    ),
    "logo": Link(inertial=_SPECK),
    "head": Link(
        inertial=Inertial(
            mass=1.036,
            com=(0.005267, 0.000299, 0.449869),
            inertia=(0.004085051, 0.004185212, 0.001807911, -2.543e-6, -6.9455e-5, -3.726e-6),
        )
    ),
}
"""What is in the middle, each in the frame of the pelvis."""

ARM = {
    "shoulder_pitch": Link(
        offset=(-7.2e-6, 0.10022, 0.29178),
        tilt=(0.27931, 5.4949e-5, -0.00019159),
        inertial=Inertial(
            mass=0.718,
            com=(0.0, 0.035892, -0.011628),
            inertia=(0.0004291, 0.000453, 0.000423, -9.2e-6, 6.4e-6, 2.26e-5),
        ),
    ),
    "shoulder_roll": Link(
        offset=(0.0, 0.038, -0.013831),
        tilt=(-0.27925, 0.0, 0.0),
        inertial=Inertial(
            mass=0.643,
            com=(-0.000227, 0.00727, -0.063243),
            inertia=(0.0006177, 0.0006912, 0.0003894, -1e-6, 8.7e-6, -5.3e-6),
        ),
    ),
    "shoulder_yaw": Link(
        offset=(0.0, 0.00624, -0.1032),
        inertial=Inertial(
            mass=0.734,
            com=(0.010773, -0.002949, -0.072009),
            inertia=(0.0009988, 0.0010605, 0.0004354, 7.9e-6, 0.0001412, -2.86e-5),
        ),
    ),
    "elbow": Link(
        offset=(0.015783, 0.0, -0.080518),
        inertial=Inertial(
            mass=0.6,
            com=(0.064956, 0.004454, -0.010062),
            inertia=(0.0002891, 0.0004152, 0.0004197, 6.53e-5, 1.72e-5, -5.6e-6),
        ),
    ),
    "hand": Link(
        offset=(0.1, 0.00188791, -0.01),
        inertial=Inertial(
            mass=0.35692864,
            com=(0.1079465665, 0.00163511945, 0.00202244863),
            inertia=(0.000196134947, 0.002002803582, 0.001941814128, -4.198169e-6, -3.9508606e-5, 2.497742e-6),
        ),
    ),
}
"""From the pelvis to the hand, joints at zero: the forearm points forward."""


def frames(chain: dict[str, Link], side: str, angles: tuple[float, ...] = ()) -> list[tuple[Array, Array]]:
    """Rotations (3, 3) and positions (3,) m, in the pelvis's frame, of the links of `LEG` or `ARM` on a side.

    `angles` rad: of the joints, in order; none where they are fixed.
    """
    left, rotation, position = LEFT[side], np.eye(3), np.zeros(3)
    found = []
    for link, angle in zip(chain.values(), angles or (0.0,) * len(chain), strict=True):
        x, y, z = link.offset
        roll, pitch, yaw = link.tilt
        position = position + rotation @ np.array((x, left * y, z))
        rotation = rotation @ _turn((left * roll, pitch, left * yaw))
        if link.axis is not None:
            rotation = rotation @ _turn(tuple(angle * a for a in link.axis))
        found.append((rotation, position))
    return found


def _turn(angles: tuple[float, ...]) -> Array:
    """Rotation matrix of roll, pitch and yaw, rad, one after the other about fixed axes."""
    (cr, sr), (cp, sp), (cy, sy) = ((math.cos(angle), math.sin(angle)) for angle in angles)
    roll = np.array(((1, 0, 0), (0, cr, -sr), (0, sr, cr)))
    pitch = np.array(((cp, 0, sp), (0, 1, 0), (-sp, 0, cp)))
    yaw = np.array(((cy, -sy, 0), (sy, cy, 0), (0, 0, 1)))
    return yaw @ pitch @ roll


def _seen_from_pelvis(link: Inertial, rotation: Array, position: Array) -> Inertial:
    """A link whose frame has this rotation (3, 3) and position (3,) m in the pelvis's."""
    xx, yy, zz, xy, xz, yz = link.inertia
    inertia = rotation @ ((xx, xy, xz), (xy, yy, yz), (xz, yz, zz)) @ rotation.T
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = inertia.tolist()
    x, y, z = (rotation @ link.com + position).tolist()
    return Inertial(mass=link.mass, com=(x, y, z), inertia=(xx, yy, zz, xy, xz, yz))


def _trunk_and_arms() -> Inertial:
    parts = [_seen_from_pelvis(link.inertial, np.eye(3), np.array(link.offset)) for link in TRUNK.values()]
    for side in SIDES:
        for link, frame in zip(ARM.values(), frames(ARM, side), strict=True):
            parts.append(_seen_from_pelvis(link.inertial.mirrored(1, LEFT[side]), *frame))
    return reduce(merged, parts)


BODY = _trunk_and_arms()
"""Pelvis, torso, head and arms as one, in the pelvis's frame."""
MASS = BODY.mass + 2 * sum(link.inertial.mass for link in LEG.values())  # kg
