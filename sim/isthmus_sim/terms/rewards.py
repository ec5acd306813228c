"""Rewards of robots that move: functions of a control step, (n,) each, without weight.

A term that is named for what is wanted grows as it gets better; one that is named for what is wrong (`slip`, `effort`)
grows as it gets worse.
"""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_sim.task import Transition

VELOCITY_GOAL, TURNING_GOAL = "linear_velocity_command", "yaw_rate_command"
COURSE = "course"
"""What of a goal holds how far a robot has been off what was asked on average: forward and left m/s, turning rad/s."""


def planar_velocity(step: Transition, width: float) -> Tensor:
    """exp(-‖v_xy - asked‖ / width), body frame, `width` m/s: felt from afar, and sharp at what is asked."""
    off = (step.base.velocity[:, :2] - step.goal[VELOCITY_GOAL]).norm(dim=-1)
    return (-off / width).exp()


def yaw_rate(step: Transition, width: float) -> Tensor:
    """exp(-|ω_z - asked| / width), `width` rad/s."""
    off = (step.base.turning[:, 2:] - step.goal[TURNING_GOAL]).abs().squeeze(-1)
    return (-off / width).exp()


def course(step: Transition, width: float) -> Tensor:
    """As the two above together, 0 to 2, of the average errors in the goal's `COURSE`."""
    off = step.goal[COURSE].abs()
    return (-off[:, :2].norm(dim=-1) / width).exp() + (-off[:, 2] / width).exp()


def tilt(step: Transition) -> Tensor:
    """Squared horizontal part of the direction of gravity in the body: 0 for a level base."""
    return step.base.down[:, :2].square().sum(-1)


def bounce(step: Transition) -> Tensor:
    """Squared vertical velocity, m²/s², and a tenth of the squared roll and pitch rates."""
    rocking = step.base.turning[:, :2].square().sum(-1)
    return step.base.velocity[:, 2].square() + 0.1 * rocking


def slip(step: Transition, touches: Tensor) -> Tensor:
    """Squared horizontal velocity, m²/s², of the feet that touch the ground (n, f)."""
    return (step.state["foot_velocity"][..., :2].square().sum(-1) * touches).sum(-1)


def effort(step: Transition) -> Tensor:
    """Squared torque of all joints, (N·m)²."""
    return step.state["joint_torque"].square().sum(-1)


def power(step: Transition) -> Tensor:
    """Mechanical power that the drives give, W; what they brake is lost."""
    return step.state["joint_power"].clamp_min(0.0).sum(-1)


def command_change(step: Transition) -> Tensor:
    """Squared change of all commands from one step to the next, in their units."""
    changes = [(step.commands[name] - before).square().sum(-1) for name, before in step.previous.items()]
    return torch.stack(changes).sum(0) if len(changes) > 1 else changes[0]


def posture(step: Transition, default: Tensor, weight: Tensor) -> Tensor:
    """Squared distance of the joints from `default` (j,) rad, each with its `weight` (j,)."""
    return ((step.state["joint_position"] - default).square() * weight).sum(-1)
