"""A scripted operator of the peg, which knows no more than the robot does: it goes to where the camera has found the
hole, touches, searches along a spiral around that place, and goes in where the block gives way.

It remembers nothing, so that it can begin in the middle of what somebody else has done: all is decided by where the peg
is and by what the wrist feels. The spiral is Archimedes' as a field of directions (Chhatpar and Branicky 2001, "Search
strategies for peg-in-hole assemblies with position uncertainty"): along the circle, and outwards by `PITCH` a turn.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from isthmus_policies.networks.policy import Policy, Tensors
from isthmus_sim.tasks.peg import FORCE_SCALE, OFFSET_SCALE, VELOCITY_SCALE, PegConfig

WEIGHT = 1.3  # N, of what hangs on the sensor
NEAR = 0.005  # m above where the hole should open: from here on it goes slowly
CENTRED = 0.0025  # m
FARTHEST = 0.004  # m from the middle: there the search lifts off and begins anew
DEEP = 0.005  # m below: it can only be in the hole
TOUCH, PRESS, INSERT = 1.0, 2.0, 8.0  # N: that is touch; as hard it presses; as hard in the hole
JAM = 1.5  # N aside: more than friction
PITCH = 0.0014  # m
SPEED, FAST, SLOW = 0.0006, 0.002, 0.0005  # m a control step: along the spiral; else at most; to touch
LEAD_S = 0.2  # s that the servos take to follow
YIELD, PUSH, SINK = 0.00015, 0.00012, 0.0003  # m/N a control step: aside, on the block, in the hole


class PegScript(Policy):
    """Reads the group "actor" of the task `peg`. Vectors are in the tool's axes: ahead, right, down."""

    def __init__(self, config: PegConfig) -> None:
        super().__init__()
        self.groups = ("actor",)
        self._step = config.step

    def act(self, observations: Tensors, memory: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        seen = observations["actor"]
        to_hole, force = seen[:, :3] * OFFSET_SCALE, seen[:, 10:13] * FORCE_SCALE
        velocity = seen[:, 6:9] * VELOCITY_SCALE
        height, pressed = to_hole[:, 2:], force[:, 2:] + WEIGHT
        away = LEAD_S * velocity[:, :2] - to_hole[:, :2]  # from the middle, of where the peg will be
        off, far = to_hole[:, :2].norm(dim=-1, keepdim=True), away.norm(dim=-1, keepdim=True)
        home = -0.5 * away * (2 * FAST / far.clamp_min(FAST)).clamp_max(1.0)

        above, deep = height > NEAR, height < -DEEP
        touches = pressed > TOUCH
        lost = (off > FARTHEST) & ~above & ~deep
        down = 0.4 * (height - 0.6 * NEAR)
        by = _move(home, torch.where(far < CENTRED, down.clamp(0.0, 0.8 * FAST), 0.0))
        by = torch.where(above, by, _move(0.2 * home, torch.full_like(height, SLOW)))
        press = (PUSH * (PRESS - pressed)).clamp(-2 * SLOW, SLOW)
        by = torch.where(touches & ~above, _move(_searching(away, force), press), by)
        sink = (SINK * (INSERT - pressed)).clamp(-2 * SLOW, 3 * SLOW)
        by = torch.where(deep, _move(_yielding(force), sink), by)
        by = torch.where(lost, _move(torch.zeros_like(home), torch.full_like(height, -3 * SLOW)), by)
        return (by / self._step).clamp(-1.0, 1.0), {}


def _move(level: Tensor, down: Tensor) -> Tensor:
    return torch.cat((level, down), dim=-1)


def _searching(away: Tensor, force: Tensor) -> Tensor:
    """(n, 2) m: a step along the spiral; where the peg has caught the hole's edge, to where the edge pushes it."""
    far = away.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    out = away / far
    around = torch.stack((-out[:, 1], out[:, 0]), dim=-1)
    course = around + out * PITCH / (2 * math.pi * far.clamp_min(0.0003))
    caught = force[:, :2].norm(dim=-1, keepdim=True) > JAM
    return torch.where(caught, _yielding(force), SPEED * torch.nn.functional.normalize(course, dim=-1))


def _yielding(force: Tensor) -> Tensor:
    """(n, 2) m: away from what pushes aside. The wrist pushes against it."""
    return (-YIELD * force[:, :2]).clamp(-SLOW, SLOW)
