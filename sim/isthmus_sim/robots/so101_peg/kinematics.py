"""Where the peg's end is, and how it moves with the joints, as long as the wrist's roll is zero: batched, in plain
operations that an exported graph can have.

In the plane of the arm a joint that turns by a moves what is beyond it, (ahead, up), to
(ahead·cos a + up·sin a, up·cos a - ahead·sin a); the derivative of that by a is the result's (up, -ahead).
"""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_sim.robots.so101.description import OFFSET
from isthmus_sim.robots.so101_peg.description import DOWN, IN_PLANE

_LEAST_DETERMINANT = 0.003  # m²; 0.015 at home, 0 with upper arm and forearm in line


def peg_end(joints: Tensor) -> Tensor:
    """(n, 3) m, world: where joints (n, 6) rad have the peg's end."""
    (ahead, up), upper_arm, forearm, hand = IN_PLANE
    lift, elbow, wrist = joints[:, 1], joints[:, 1] + joints[:, 2], joints[:, 1:4].sum(-1)
    a, b, c = (_turned(part, angle) for part, angle in ((upper_arm, lift), (forearm, elbow), (hand, wrist)))
    out, height, pan = ahead + a[0] + b[0] + c[0], up + a[1] + b[1] + c[1], joints[:, 0]
    return torch.stack((OFFSET["shoulder_pan"][0] + out * pan.cos(), -out * pan.sin(), height), dim=-1)


def to_tool(joints: Tensor, vector: Tensor) -> Tensor:
    """(n, 3): a vector (n, 3) of the world in the axes of a tool that points down: ahead, right, down."""
    pan = joints[:, :1]
    x, y, z = vector.split(1, dim=-1)
    return torch.cat((x * pan.cos() - y * pan.sin(), -x * pan.sin() - y * pan.cos(), -z), dim=-1)


def tilt(joints: Tensor) -> Tensor:
    """(n, 1) rad: how far the peg is turned beyond straight down, towards the arm."""
    return joints[:, 1:4].sum(-1, keepdim=True) - DOWN


def moved(joints: Tensor, by: Tensor) -> Tensor:
    """(n, 6) rad: joints (n, 6) after the peg's end has gone by (n, 3) m in the axes of the tool, to first order. The
    wrist keeps the peg's direction; roll and gripper stay."""
    ahead, right, down = by.unbind(-1)
    (arm_x, arm_z), (fore_x, fore_z), out = _links(joints)
    determinant = (arm_x * fore_z - arm_z * fore_x).clamp_max(-_LEAST_DETERMINANT)
    both_x, both_z = arm_x + fore_x, arm_z + fore_z
    lift = (down * fore_z - ahead * fore_x) / determinant
    elbow = (ahead * both_x - down * both_z) / determinant
    still = torch.zeros_like(lift)
    return joints + torch.stack((right / out, lift, elbow, -lift - elbow, still, still), dim=-1)


def move_between(joints: Tensor, others: Tensor) -> Tensor:
    """The inverse of `moved`, (n, 3) m: by what the peg's end goes, in the axes of the tool, from joints to others (n,
    6) rad, to first order; their wrist does not count."""
    (arm_x, arm_z), (fore_x, fore_z), out = _links(joints)
    pan, lift, elbow = (others - joints)[:, :3].unbind(-1)
    ahead = (arm_z + fore_z) * lift + fore_z * elbow
    down = (arm_x + fore_x) * lift + fore_x * elbow
    return torch.stack((ahead, pan * out, down), dim=-1)


def _links(joints: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor]:
    """Upper arm and forearm, each ahead and up, and how far ahead of the pan axis the wrist is: (n,) m each."""
    (ahead, _), upper_arm, forearm, _ = IN_PLANE
    arm, fore = _turned(upper_arm, joints[:, 1]), _turned(forearm, joints[:, 1] + joints[:, 2])
    return arm, fore, ahead + arm[0] + fore[0]


def _turned(part: tuple[float, float], angle: Tensor) -> tuple[Tensor, Tensor]:
    (ahead, up), c, s = part, angle.cos(), angle.sin()
    return ahead * c + up * s, up * c - ahead * s
