"""Whether a description and a compiled model speak of the same robot."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mujoco

from isthmus_sim.actuators import PDMotors, PositionServos
from isthmus_sim.description import RobotDescription

_ANGLE_TOLERANCE = 1e-4  # rad or m: published limits have four decimals
_MASS_TOLERANCE = 0.01  # share


class DescriptionError(ValueError):
    """A description contradicts its model; the message lists every line that does, and how to mend it."""


def check_agreement(robot: RobotDescription, model: Any) -> None:
    """Raise DescriptionError where the description says what the model does not have."""
    problems = list(_problems(robot, model))
    if problems:
        raise DescriptionError(f"the description of {robot.name!r} contradicts its model:\n  " + "\n  ".join(problems))


def _problems(robot: RobotDescription, model: Any) -> Iterator[str]:
    joints = {model.joint(i).name for i in range(model.njnt)}
    actuators = {model.actuator(i).name for i in range(model.nu)}
    for name in robot.joints:
        if name not in joints:
            yield f"joints.{name}: the model has no such joint; it has: {_listed(joints)}"
    yield from _limit_problems(robot, model, joints)
    for actuator in robot.actuators:
        yield from _actuator_problems(robot, actuator, model, actuators)
    if robot.base is not None and not _moves_freely(model, robot.base):
        yield f"base: the model has no body {robot.base!r} with a <freejoint/>"
    if robot.mass and abs(_mass(robot, model) - robot.mass) > _MASS_TOLERANCE * robot.mass:
        yield f"mass: {robot.mass:.4g} kg, the model's bodies weigh {_mass(robot, model):.4g} kg"


def _limit_problems(robot: RobotDescription, model: Any, joints: set[str]) -> Iterator[str]:
    for name, spec in robot.joints.items():
        if name not in joints or not model.joint(name).limited[0]:
            continue
        low, high = model.joint(name).range
        if spec.position_min < low - _ANGLE_TOLERANCE or spec.position_max > high + _ANGLE_TOLERANCE:
            yield (
                f"joints.{name}: limits [{spec.position_min:.4g}, {spec.position_max:.4g}] are beyond the model's "
                f"[{low:.4g}, {high:.4g}]; narrow them"
            )


def _actuator_problems(robot: RobotDescription, actuator: Any, model: Any, known: set[str]) -> Iterator[str]:
    names = tuple(actuator.joints) if isinstance(actuator, PDMotors) else actuator.actuators
    kind = type(actuator).__name__
    commands = {command.name: command for command in robot.commands}
    command = commands.get(actuator.command)
    if command is None:
        yield f"actuators: {kind} takes the command {actuator.command!r}; there are: {_listed(commands)}"
    elif len(command.order) != len(names):
        yield f"commands.{command.name}: {len(command.order)} elements for {len(names)} actuators of {kind}"
    elif isinstance(actuator, PDMotors) and command.order != names:
        yield f"commands.{command.name}.order: {_listed(command.order)}; the joints are: {_listed(names)}"
    for name in names:
        if name not in known:
            yield f"actuators.{name}: the model has no such actuator; it has: {_listed(known)}"
        elif _is_servo(model, name) != isinstance(actuator, PositionServos):
            wanted = "a position servo" if isinstance(actuator, PositionServos) else "a motor"
            yield f"actuators.{name}: {kind} needs {wanted} in the model; there it is the other"


def _is_servo(model: Any, name: str) -> bool:
    """Whether the model's actuator holds positions: its force depends on where the joint is."""
    number = model.actuator(name).id
    affine = model.actuator_biastype[number] == mujoco.mjtBias.mjBIAS_AFFINE
    return bool(affine and model.actuator_biasprm[number, 1] != 0)


def _moves_freely(model: Any, body: str) -> bool:
    number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, body)
    joint = model.body_jntadr[number] if number >= 0 else -1
    return bool(joint >= 0 and model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE)


def _mass(robot: RobotDescription, model: Any) -> float:
    """kg of the base and all that hangs on it; of everything for a robot that is fixed."""
    return float(model.body_subtreemass[model.body(robot.base).id if robot.base else 0])


def _listed(names: Any) -> str:
    return ", ".join(names) or "none"
