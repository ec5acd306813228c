"""All that a log is tried for."""

from __future__ import annotations

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.limits import Command
from isthmus_deploy.mismatch.motion import Array, Joints, roles
from isthmus_deploy.mismatch.suspects import drives, frames, orders, sizes
from isthmus_deploy.mismatch.suspects.suspect import KINDS, Suspect

__all__ = ["KINDS", "Suspect", "suspects"]


def suspects(contract: Contract, lag_s: float, level: Array) -> list[Suspect]:
    """All that a log of this contract's robot is tried for, but for what shows by itself.

    Args:
        contract: Of the robot.
        lag_s: The time constant with which its rotors and the like follow.
        level: (commands,) what drives the body usually is.
    """
    known = roles(contract)
    commands = {command.name: command for command in contract.commands}
    found: list[Suspect] = []
    for joints in known.joints:
        found += _of_joints(joints, commands[joints.command], contract)
    ends = np.cumsum([len(commands[name].order) for name in known.free])
    for name, own in zip(known.free, np.split(level, ends[:-1]), strict=False):
        found += _of_free(commands[name], contract.control_period_s, lag_s, own)
    found += [*frames.vectors(known), *frames.quaternions(known)]
    if known.turning:
        found += sizes.biases(known.turning)
    for signal in contract.signals:
        if signal.max_age_s is not None and signal.dtype != "uint8":
            found += drives.late_readings(signal.name)
            found += sizes.units(signal.name, signal.shape[0], command=False) if signal.unit != "1" else ()
    return found


def _of_joints(joints: Joints, command: Command, contract: Contract) -> list[Suspect]:
    gains = [contract.joints.get(name) for name in joints.names]
    lead = np.array([each.damping / each.stiffness if each and each.stiffness else 0.0 for each in gains])
    return [
        *orders.of_joints(joints),
        *orders.signs(joints),
        *sizes.offsets(joints),
        *sizes.units(command.name, len(command.order), command=True),
        *sizes.scales(command.name, np.array(command.standby, float)),
        *drives.stiffer(joints, lead),
        *drives.late_commands(command.name),
        *drives.weak_joints(joints, lead),
    ]


def _of_free(command: Command, period_s: float, lag_s: float, level: Array) -> list[Suspect]:
    return [
        *orders.of_free(command.name, tuple(command.order)),
        *sizes.units(command.name, len(command.order), command=True),
        *sizes.scales(command.name, level),
        *(drives.faster(command.name, period_s, lag_s) if lag_s else ()),
        *drives.late_commands(command.name),
        *drives.capped(command),
    ]
