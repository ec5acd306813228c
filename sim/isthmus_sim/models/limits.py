"""Limits of a robot on a user's model: what both its description and the model allow."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import mujoco
import numpy as np

from isthmus_sim.actuators import Actuator, Motor, PDMotors
from isthmus_sim.description import RobotDescription
from isthmus_sim.models.errors import ModelError
from isthmus_sim.specs import CommandSpec, JointSpec

_POSITIONS = ("rad", "m")  # units of commands that joints' positions bound
_LIMITS: dict[str, Callable[[JointSpec], str]] = {
    "position": lambda joint: f"[{joint.position_min:.4g}, {joint.position_max:.4g}] rad",
    "effort": lambda joint: f"{joint.effort_limit:.4g} N·m",
    "velocity": lambda joint: f"{joint.velocity_limit:.4g} rad/s",
}


def narrow_robot(
    robot: RobotDescription, model: mujoco.MjModel, velocity_limits: Mapping[str, float] | None = None
) -> tuple[RobotDescription, tuple[str, ...]]:
    """The robot within the limits of `model`, and a sentence for each that changed.

    What narrows are its joints (see `narrow_joints`), the commands that are positions of these joints, and the motors
    that drive them. Signals keep their bounds: beyond them a reading is a fault, wherever the joint may go.

    Raises:
        ModelError: a pose of the robot is outside; see `narrow_joints`.
    """
    joints, changes = narrow_joints(robot, model, velocity_limits)
    commands = tuple(_narrow_command(command, joints) for command in robot.commands)
    actuators = tuple(_narrow_actuator(actuator, joints) for actuator in robot.actuators)
    return replace(robot, joints=joints, commands=commands, actuators=actuators), changes


def narrow_joints(
    robot: RobotDescription, model: mujoco.MjModel, velocity_limits: Mapping[str, float] | None = None
) -> tuple[dict[str, JointSpec], tuple[str, ...]]:
    """The robot's joints within the limits of `model`, whose joints bear their names; and a sentence for each limit
    that changed.

    Positions are bounded by the joints' ranges; torques by their `actfrcrange`, where that is not zero; velocities,
    which MuJoCo does not know, by `velocity_limits` (rad/s, m/s) by joint.

    Raises:
        ModelError: the limits of both do not hold the default pose, or the one that a command has when armed
            (standby) or stopped (safe); the message names poses, joints and numbers.
    """
    speeds = velocity_limits or {}
    joints = {
        name: _narrow(joint, model, model.joint(name).id, speeds.get(name, math.inf))
        for name, joint in robot.joints.items()
    }
    faults = [
        f"{pose} pose: {outside}" for pose, angles in _poses(robot).items() if (outside := _outside(joints, angles))
    ]
    if faults:
        raise ModelError(
            f"the limits of the model and of {robot.name} (in rad) do not both allow the {'; nor the '.join(faults)}"
        )
    return joints, _told(robot.joints, joints)


def _narrow(joint: JointSpec, model: mujoco.MjModel, own: int, velocity: float) -> JointSpec:
    """The joint within the limits of the model's joint number `own`."""
    low, high = model.jnt_range[own] if model.jnt_limited[own] else (-math.inf, math.inf)
    torque = float(np.abs(model.jnt_actfrcrange[own]).min()) or math.inf
    return replace(
        joint,
        position_min=max(joint.position_min, float(low)),
        position_max=min(joint.position_max, float(high)),
        effort_limit=min(joint.effort_limit, torque),
        velocity_limit=min(joint.velocity_limit, velocity),
    )


def _poses(robot: RobotDescription) -> dict[str, dict[str, float]]:
    """The robot's poses by name: angle by joint."""
    poses = {"default": {name: joint.default_position for name, joint in robot.joints.items()}}
    for command in robot.commands:
        if is_positions(command, robot.joints):
            poses["standby"] = dict(zip(command.order, command.standby, strict=True))
            poses["safe"] = dict(zip(command.order, command.safe, strict=True))
    return poses


def _outside(joints: Mapping[str, JointSpec], angles: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name} {angle:g} outside [{joints[name].position_min:.4g}, {joints[name].position_max:.4g}]"
        for name, angle in angles.items()
        if not joints[name].position_min <= angle <= joints[name].position_max
    )


def _told(before: Mapping[str, JointSpec], after: Mapping[str, JointSpec]) -> tuple[str, ...]:
    """A sentence for each limit that changed, and all joints on which it changed alike."""
    names: dict[tuple[str, str], list[str]] = {}
    for name in before:
        for kind, limit in _LIMITS.items():
            if limit(before[name]) != limit(after[name]):
                change = f"from {limit(before[name])} to {limit(after[name])}"
                names.setdefault((kind, change), []).append(name)
    return tuple(
        f"the {kind} limit of {', '.join(joints)} narrows {change}, the model's"
        for (kind, change), joints in names.items()
    )


def is_positions(command: CommandSpec, joints: Mapping[str, JointSpec]) -> bool:
    """Whether `command` is where (some of) the joints should be."""
    return command.unit in _POSITIONS and set(command.order) <= set(joints)


def _narrow_command(command: CommandSpec, joints: Mapping[str, JointSpec]) -> CommandSpec:
    if not is_positions(command, joints):
        return command
    bounds = list(zip(command.order, command.minimum, command.maximum, strict=True))
    return replace(
        command,
        minimum=tuple(max(low, joints[name].position_min) for name, low, _ in bounds),
        maximum=tuple(min(high, joints[name].position_max) for name, _, high in bounds),
    )


def _narrow_actuator(actuator: Actuator, joints: Mapping[str, JointSpec]) -> Actuator:
    if not isinstance(actuator, PDMotors):
        return actuator
    own = {name: joints[name] for name in actuator.joints}
    motors = {name: _limited(motor, joints[name].effort_limit) for name, motor in actuator.motors.items()}
    return replace(actuator, joints=own, motors=motors)


def _limited(motor: Motor, effort: float) -> Motor:
    """The motor at no more than `effort` N·m: its torque-speed line stays, and is reached at a higher speed."""
    if effort >= motor.effort_limit:
        return motor
    corner = motor.no_load_speed * (1 - effort / motor.saturation_effort)
    return replace(motor, effort_limit=effort, corner_speed=corner)
