"""What a quadrotor's readings and commands are held to, without a policy."""

from __future__ import annotations

from isthmus_deploy.contracts.limits import Command, Limits, Signal
from isthmus_deploy.contracts.robot_interface import narrowed
from isthmus_sim.robots.quadrotor.description import ROBOT


def limits() -> Limits:
    """Those of its description."""
    return Limits(
        control_period_s=ROBOT.control_period_s,
        signals=tuple(narrowed(Signal, signal) for signal in ROBOT.signals),
        commands=tuple(narrowed(Command, command) for command in ROBOT.commands),
    )
