"""A robot file on top of the robot that it names as its base: one description, and what of it is not its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from isthmus_sim.description import CommandSpec, JointSpec, RobotSpec
from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.limits import is_positions
from isthmus_sim.models.robot_file import MOTOR_UNITS, ByJoint, RobotFile

Motor = TypeVar("Motor", bound=Any)
"""A joint's drive: a dataclass with the numbers of `MOTOR_UNITS`."""

_LIKE = 0.25  # share by which a robot may be heavier or lighter than the one whose gains and motors it has
_SLOWEST = 0.1  # share of the fastest joint's transition rate that joints get which have no way to go


def described(file: RobotFile, base: RobotSpec) -> tuple[RobotSpec, tuple[str, ...]]:
    """The robot that `file` describes on top of `base`, and a sentence for all numbers that are the base's.

    Gains, poses and the limits that follow from motors are the file's, where it has them. The model, its names and
    the motors themselves (see `motorised`) are for who loads the model; position limits, too, see `limits`.

    Raises:
        ModelError: joints that `base` has not, or that two patterns match; the message names file, key and fix.
    """
    joints, lent = dict(base.joints), []
    for key, field, unit, given in (
        ("gains.stiffness", "stiffness", "N·m/rad", file.stiffness),
        ("gains.damping", "damping", "N·m·s/rad", file.damping),
        ("poses.default", "default_position", "rad", file.default_pose),
        ("motors.effort_limit", "effort_limit", "N·m", file.motors.get("effort_limit", {})),
        ("motors.no_load_speed", "velocity_limit", "rad/s", file.motors.get("no_load_speed", {})),
    ):
        values = _by_joint(file, key, given, joints)
        lent += _told_lent(
            key, unit, {name: getattr(joints[name], field) for name in joints if name not in values}, base
        )
        joints |= {name: replace(joints[name], **{field: value}) for name, value in values.items()}
    commands = []
    for command in base.commands:
        safe = _by_joint(file, "poses.safe", file.safe_pose, joints)
        if is_positions(command, joints):
            others = dict(zip(command.order, command.safe, strict=True))
            lent += _told_lent("poses.safe", "rad", {name: others[name] for name in others if name not in safe}, base)
            command = _posed(command, joints, others | safe)
        commands.append(command)
    lent.append(
        f"control period ({base.control_period_s:g} s), signals and their bounds, the widest position limits and the "
        f"largest rates of commands are those of {base.name}"
    )
    return replace(base, name=file.name, joints=joints, commands=tuple(commands)), tuple(lent)


def motorised(
    file: RobotFile, base: RobotSpec, motors: Mapping[str, Motor]
) -> tuple[dict[str, Motor], tuple[str, ...]]:
    """What drives each joint, and a sentence for all numbers that are those of `motors`, the drives of `base`.

    Raises ModelError as `described` does, and where file and base together make no motor.
    """
    own, lent = dict(motors), []
    for number, unit in MOTOR_UNITS.items():
        key = f"motors.{number}"
        values = _by_joint(file, key, file.motors.get(number, {}), own)
        if number not in ("effort_limit", "no_load_speed"):  # these are told of with the description
            others = {name: getattr(own[name], number) for name in own if name not in values}
            lent += _told_lent(key, unit, others, base)
        own |= {name: replace(own[name], **{number: value}) for name, value in values.items()}
    slow = [f"{name} {own[name].corner_speed:g}" for name in own if own[name].corner_speed >= own[name].no_load_speed]
    if slow:
        raise ModelError(
            f"robot file {file.path}: motors.corner_speed must be below motors.no_load_speed; it is not for "
            f"{', '.join(slow)} rad/s. Write both"
        )
    return own, tuple(lent)


def refuse_lent_strength(file: RobotFile, base: RobotSpec, *, mass: float, base_mass: float) -> None:
    """Raise ModelError where a robot of `mass` kg has gains or motors of a base that is much heavier or lighter."""
    if abs(mass / base_mass - 1) <= _LIKE:
        return
    given = {"gains.stiffness": file.stiffness, "gains.damping": file.damping}
    given |= {f"motors.{number}": file.motors.get(number, {}) for number in MOTOR_UNITS}
    lacking = [
        key for key, values in given.items() if set(_by_joint(file, key, values, base.joints)) != set(base.joints)
    ]
    if lacking:
        raise ModelError(
            f"robot file {file.path}: the model weighs {mass:.4g} kg and {base.name} {base_mass:.4g} kg, so that gains "
            f"and motors of the one do not fit the other. Write for all joints: {', '.join(lacking)}"
        )


def _by_joint(file: RobotFile, key: str, given: ByJoint, joints: Iterable[str]) -> dict[str, float]:
    """The numbers in `given` by joint, for those of `joints` that a name or pattern in it matches."""
    joints = tuple(joints)
    values = {}
    for name in joints:
        matching = [name] if name in given else [pattern for pattern in given if fnmatchcase(name, pattern)]
        if len(matching) > 1:
            patterns = " and ".join(map(repr, matching))
            raise ModelError(f"robot file {file.path}: {key}: {patterns} both match {name}. Make one of them narrower")
        if matching:
            values[name] = given[matching[0]]
    idle = [pattern for pattern in given if not any(fnmatchcase(name, pattern) for name in joints)]
    if idle:
        raise ModelError(
            f"robot file {file.path}: {key}: no joint of {file.base} matches {', '.join(map(repr, idle))}. It has: "
            f"{', '.join(joints)}"
        )
    return values


def _told_lent(key: str, unit: str, values: Mapping[str, float], base: RobotSpec) -> list[str]:
    """A sentence for all joints that have the same number from `base`."""
    names: dict[float, list[str]] = {}
    for name, value in values.items():
        names.setdefault(value, []).append(name)
    return [
        f"{key} of {'all joints' if len(joints) == len(base.joints) else ', '.join(joints)} is that of {base.name}: "
        f"{value:.4g} {unit}"
        for value, joints in names.items()
    ]


def _posed(command: CommandSpec, joints: Mapping[str, JointSpec], safe: Mapping[str, float]) -> CommandSpec:
    """The command of joint positions, with stand-by in the joints' default and `safe`, and all joints on time there."""
    standby = tuple(joints[name].default_position for name in command.order)
    stopped = tuple(safe[name] for name in command.order)
    rate = command.transition_rate
    if rate is not None and (standby, stopped) != (command.standby, command.safe):
        ways = [abs(stand - stop) for stand, stop in zip(standby, stopped, strict=True)]
        rate = tuple(max(rate) * max(way / max(*ways, 1e-9), _SLOWEST) for way in ways)
    return replace(command, standby=standby, safe=stopped, transition_rate=rate)
