"""A robot file on top of the robot that it names as its base: what of the description is its own, and what is lent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from isthmus_sim.actuators import Motor, PDMotors
from isthmus_sim.description import RobotDescription
from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.limits import is_positions
from isthmus_sim.models.robot_file import MOTOR_UNITS, ByJoint, RobotFile
from isthmus_sim.specs import CommandSpec, JointSpec

_LIKE = 0.25  # share by which a robot may be heavier or lighter than the one whose gains and motors it has
_SLOWEST = 0.1  # share of the fastest joint's transition rate that joints get which have no way to go


def described(file: RobotFile, base: RobotDescription) -> tuple[RobotDescription, tuple[str, ...]]:
    """The robot that `file` describes on top of `base`, and a sentence for all numbers that are the base's.

    Gains, motors and poses are the file's, where it has them. The model and what follows from it are still the base's.

    Raises:
        ModelError: joints that `base` has not, or that two patterns match, motors that are none, or a base whose joints
            have no motors; the message names file, key and fix.
    """
    motors, motor_lent = _motors(file, base)
    joints, joint_lent = _joints(file, base, motors)
    lent = [*joint_lent, *motor_lent]
    commands = []
    for command in base.commands:
        if is_positions(command, joints):
            command, command_lent = _posed(file, base, command, joints)
            lent += command_lent
        commands.append(command)
    lent.append(
        f"control period ({base.control_period_s:g} s), signals and their bounds, the widest position limits, the "
        f"largest rates of commands, and what differs from unit to unit are those of {base.name}"
    )
    actuators = (replace(_drives(base), joints=joints, motors=motors),)
    robot = replace(base, name=file.name, joints=joints, commands=tuple(commands), actuators=actuators)
    return robot, tuple(lent)


def motors_of(robot: RobotDescription) -> Mapping[str, Motor]:
    """What drives each joint. Raises ModelError where it is not motors."""
    return _drives(robot).motors


def refuse_lent_strength(file: RobotFile, base: RobotDescription, *, mass: float) -> None:
    """Raise ModelError where a robot of `mass` kg has gains or motors of a base that is much heavier or lighter."""
    if not base.mass or abs(mass / base.mass - 1) <= _LIKE:
        return
    given = {"gains.stiffness": file.stiffness, "gains.damping": file.damping}
    given |= {f"motors.{number}": file.motors.get(number, {}) for number in MOTOR_UNITS}
    lacking = [
        key for key, values in given.items() if set(_by_joint(file, key, values, base.joints)) != set(base.joints)
    ]
    if lacking:
        raise ModelError(
            f"{file.path}: the model weighs {mass:.4g} kg and {base.name} {base.mass:.4g} kg, so that gains and motors "
            f"of the one do not fit the other. Write in the robot file, for all joints: {', '.join(lacking)}"
        )


def _drives(robot: RobotDescription) -> PDMotors:
    if len(robot.actuators) == 1 and isinstance(robot.actuators[0], PDMotors):
        return robot.actuators[0]
    kinds = ", ".join(type(actuator).__name__ for actuator in robot.actuators) or "nothing"
    raise ModelError(
        f"{robot.name} is driven by {kinds}: it lends no motors, so that it cannot be the base of a robot file. Take "
        "one whose joints have PDMotors, or write a package with a description of your own"
    )


def _joints(
    file: RobotFile, base: RobotDescription, motors: Mapping[str, Motor]
) -> tuple[dict[str, JointSpec], list[str]]:
    """The joints with the file's gains and default pose, and the limits that follow from the motors."""
    joints = {
        name: replace(joint, effort_limit=motors[name].effort_limit, velocity_limit=motors[name].no_load_speed)
        for name, joint in base.joints.items()
    }
    lent = []
    for key, field, unit, given in (
        ("gains.stiffness", "stiffness", "N·m/rad", file.stiffness),
        ("gains.damping", "damping", "N·m·s/rad", file.damping),
        ("poses.default", "default_position", "rad", file.default_pose),
    ):
        own = _by_joint(file, key, given, joints)
        lent += _told_lent(key, unit, base, {name: getattr(joints[name], field) for name in joints if name not in own})
        joints |= {name: replace(joints[name], **{field: value}) for name, value in own.items()}
    return joints, lent


def _motors(file: RobotFile, base: RobotDescription) -> tuple[dict[str, Motor], list[str]]:
    motors, lent = dict(motors_of(base)), []
    for number, unit in MOTOR_UNITS.items():
        key = f"motors.{number}"
        own = _by_joint(file, key, file.motors.get(number, {}), motors)
        lent += _told_lent(key, unit, base, {name: getattr(motors[name], number) for name in motors if name not in own})
        motors |= {name: replace(motors[name], **{number: value}) for name, value in own.items()}
    slow = [
        f"{name} {motor.corner_speed:g}" for name, motor in motors.items() if motor.corner_speed >= motor.no_load_speed
    ]
    if slow:
        raise ModelError(
            f"robot file {file.path}: motors.corner_speed must be below motors.no_load_speed; it is not for "
            f"{', '.join(slow)} rad/s. Write both"
        )
    return motors, lent


def _posed(
    file: RobotFile, base: RobotDescription, command: CommandSpec, joints: Mapping[str, JointSpec]
) -> tuple[CommandSpec, list[str]]:
    """The command of joint positions with the file's poses; all joints arrive there together, the fastest as before."""
    own = _by_joint(file, "poses.safe", file.safe_pose, command.order)
    lent = {name: safe for name, safe in zip(command.order, command.safe, strict=True) if name not in own}
    safe = tuple((own | lent)[name] for name in command.order)
    standby = tuple(joints[name].default_position for name in command.order)
    rate = command.transition_rate
    if rate is not None and (standby, safe) != (command.standby, command.safe):
        ways = [abs(stand - stop) for stand, stop in zip(standby, safe, strict=True)]
        rate = tuple(max(rate) * max(way / max(*ways, 1e-9), _SLOWEST) for way in ways)
    command = replace(command, standby=standby, safe=safe, transition_rate=rate)
    return command, _told_lent("poses.safe", "rad", base, lent)


def _by_joint(file: RobotFile, key: str, given: ByJoint, joints: Iterable[str]) -> dict[str, float]:
    """The numbers in `given` by joint, for those of `joints` that a name or pattern in it matches."""
    joints = tuple(joints)
    values = {}
    for name in joints:
        matching = [pattern for pattern in given if pattern != "*" and fnmatchcase(name, pattern)]
        if name not in given and len(matching) > 1:
            patterns = " and ".join(map(repr, matching))
            raise ModelError(f"robot file {file.path}: {key}: {patterns} both match {name}. Make one of them narrower")
        found = [pattern for pattern in (name, *matching, "*") if pattern in given]
        if found:
            values[name] = given[found[0]]
    idle = [pattern for pattern in given if not any(fnmatchcase(name, pattern) for name in joints)]
    if idle:
        raise ModelError(
            f"robot file {file.path}: {key}: no joint of {file.base} matches {', '.join(map(repr, idle))}. It has: "
            f"{', '.join(joints)}"
        )
    return values


def _told_lent(key: str, unit: str, base: RobotDescription, values: Mapping[str, float]) -> list[str]:
    """A sentence for all joints that have the same number from `base`."""
    names: dict[float, list[str]] = {}
    for name, value in values.items():
        names.setdefault(value, []).append(name)
    return [
        f"{key} of {'all joints' if len(joints) == len(base.joints) else ', '.join(joints)} is that of {base.name}: "
        f"{value:.4g} {unit}"
        for value, joints in names.items()
    ]
