"""Whether a description, a scene and a compiled model speak of the same things."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import mujoco
import numpy as np

from isthmus_sim.actuators import Actuator, PDMotors, PositionServos, Rotors
from isthmus_sim.description import RobotDescription
from isthmus_sim.scene import Quantity, Scene

_LIMIT_TOLERANCE = 1e-4  # rad or m: published limits have four decimals
_SHARE_TOLERANCE = 0.01  # of masses and torques
_OF_ROTORS = ("thrust_coefficient", "time_constant_up", "time_constant_down", "battery")
_OF_JOINTS = ("rad", "m")  # units of commands that are joints' positions
_EACH = ("minimum", "maximum", "max_rate", "safe", "standby")  # one number for each element of a command
_ONE_AXIS = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))


class DescriptionError(ValueError):
    """A description contradicts its model; the message lists every line that does, and how to mend it."""


def check_agreement(scene: Scene, model: Any) -> None:
    """Raise DescriptionError where the robot or the scene says what the model does not have."""
    problems = [*_robot_problems(scene.robot, model), *_scene_problems(scene, model)]
    if problems:
        raise DescriptionError(
            f"the description of {scene.robot.name!r} contradicts its model:\n  " + "\n  ".join(problems)
        )


def _robot_problems(robot: RobotDescription, model: Any) -> Iterator[str]:
    yield from _joint_problems(robot, model)
    yield from _pose_problems(robot)
    yield from _command_problems(robot)
    for actuator in robot.actuators:
        yield from _actuator_problems(actuator, model)
        if isinstance(actuator, PDMotors):
            yield from _drive_problems(actuator, robot)
    if robot.base is not None and not _moves_freely(model, robot.base):
        yield f"base: the model has no body {robot.base!r} with a <freejoint/>; it has: {_listed(_free_bodies(model))}"
    elif robot.mass and abs(_mass(robot, model) - robot.mass) > _SHARE_TOLERANCE * robot.mass:
        yield f"mass: {robot.mass:.4g} kg, the model's bodies weigh {_mass(robot, model):.4g} kg; correct one of them"


def _joint_problems(robot: RobotDescription, model: Any) -> Iterator[str]:
    for name, spec in robot.joints.items():
        number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, name)
        if number < 0:
            yield f"joints.{name}: the model has no such joint; it has: {_listed(_names(model, 'joint'))}"
            continue
        if model.jnt_type[number] not in _ONE_AXIS:
            yield f"joints.{name}: the model's joint turns freely; only hinge and slide joints are driven"
            continue
        low, high = model.jnt_range[number] if model.jnt_limited[number] else (-np.inf, np.inf)
        if spec.position_min < low - _LIMIT_TOLERANCE or spec.position_max > high + _LIMIT_TOLERANCE:
            yield (
                f"joints.{name}: limits [{spec.position_min:.4g}, {spec.position_max:.4g}] are beyond the model's "
                f"[{low:.4g}, {high:.4g}]; narrow them"
            )
    joints = tuple(robot.joints)
    for signal in robot.signals:
        if signal.frame == "joint" and signal.order != tuple(name for name in joints if name in signal.order):
            yield f"signals.{signal.name}.order: {_listed(signal.order)}; the joints are, in order: {_listed(joints)}"


def _pose_problems(robot: RobotDescription) -> Iterator[str]:
    """Commands and stances stay where the joints can go; what is mirrored is there."""
    for command in robot.commands:
        if wrong := [name for name in _EACH if len(getattr(command, name)) != command.size]:
            yield f"commands.{command.name}: {command.size} elements in its order, not in {_listed(wrong)}"
        elif command.unit in _OF_JOINTS and set(command.order) <= set(robot.joints):
            for name, low, high in zip(command.order, command.minimum, command.maximum, strict=True):
                yield from _outside(f"commands.{command.name}", robot, name, low, high)
    for stance, pose in robot.stances.items():
        if len(pose.joints) != len(robot.joints):
            yield f"stances.{stance}: {len(pose.joints)} angles for {len(robot.joints)} joints"
            continue
        for name, angle in zip(robot.joints, pose.joints, strict=True):
            yield from _outside(f"stances.{stance}", robot, name, angle, angle)
    mirrored = {name for pair in robot.mirror.items() for name in (pair[0], pair[1][0])}
    named = mirrored.union(*robot.legs.values())
    if unknown := sorted(named - set(robot.joints)):
        yield f"mirror, legs: there is no joint {_listed(unknown)}; there are: {_listed(robot.joints)}"


def _outside(what: str, robot: RobotDescription, name: str, low: float, high: float) -> Iterator[str]:
    joint = robot.joints[name]
    if low < joint.position_min - _LIMIT_TOLERANCE or high > joint.position_max + _LIMIT_TOLERANCE:
        given = f"{low:.4g}" if low == high else f"[{low:.4g}, {high:.4g}]"
        yield f"{what}: {given} for {name} is beyond its limits [{joint.position_min:.4g}, {joint.position_max:.4g}]"


def _drive_problems(drives: PDMotors, robot: RobotDescription) -> Iterator[str]:
    """What is simulated is what the robot's joints say, and the contract with them."""
    for name in set(drives.joints) & set(robot.joints):
        joint, driven, motor = robot.joints[name], drives.joints[name], drives.motors.get(name)
        if (joint.stiffness, joint.damping) != (driven.stiffness, driven.damping):
            yield (
                f"joints.{name}: stiffness {joint.stiffness:.4g} and damping {joint.damping:.4g}, its actuator's are "
                f"{driven.stiffness:.4g} and {driven.damping:.4g}; give both the same"
            )
        if motor is not None and joint.effort_limit > (1 + _SHARE_TOLERANCE) * motor.effort_limit:
            yield f"joints.{name}: effort_limit {joint.effort_limit:.4g} is above its motor's {motor.effort_limit:.4g}"
        if motor is not None and motor.corner_speed >= motor.no_load_speed:
            yield (
                f"actuators.{name}: the motor's corner_speed {motor.corner_speed:.4g} must be below its no_load_speed "
                f"{motor.no_load_speed:.4g}"
            )


def _command_problems(robot: RobotDescription) -> Iterator[str]:
    taken = Counter(actuator.command for actuator in robot.actuators)
    commands = {command.name: command for command in robot.commands}
    for name in taken.keys() - commands.keys():
        yield f"actuators: one takes the command {name!r}, which there is not; there are: {_listed(commands)}"
    for name in commands:
        if taken[name] != 1:
            yield f"commands.{name}: {taken[name]} actuators take it; it must be one"
    for actuator in robot.actuators:
        command, names = commands.get(actuator.command), _driven(actuator)
        if command is None:
            continue
        if len(command.order) != len(names):
            yield f"commands.{command.name}: {len(command.order)} elements for {len(names)} actuators"
        elif command.order != names and (isinstance(actuator, PDMotors) or set(command.order) == set(names)):
            yield f"commands.{command.name}.order: {_listed(command.order)}; the actuators' is: {_listed(names)}"
    for name, count in Counter(parameter.name for parameter in robot.parameters).items():
        if count > 1:
            yield f"parameters: {count} are called {name!r}; give the actuators a prefix of their own"


def _actuator_problems(actuator: Actuator, model: Any) -> Iterator[str]:
    kind, servo = type(actuator).__name__, isinstance(actuator, PositionServos)
    if isinstance(actuator, Rotors):
        yield from _rotor_problems(actuator)
    for name in _driven(actuator):
        number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_ACTUATOR, name)
        if number < 0:
            yield f"actuators.{name}: the model has no such actuator; it has: {_listed(_names(model, 'actuator'))}"
        elif _is_servo(model, number) != servo:
            wanted = "a position servo" if servo else "a motor"
            yield f"actuators.{name}: {kind} needs {wanted} in the model; there it is the other"
        elif isinstance(actuator, PDMotors):
            yield from _motor_problems(actuator, name, number, model)


def _rotor_problems(actuator: Rotors) -> Iterator[str]:
    given = [parameter.name for parameter in actuator.parameters]
    lacking = [name for name in _OF_ROTORS if name not in given]
    if lacking:
        yield (
            f"actuators: the Rotors of {actuator.command} lack the parameters {_listed(lacking)}; they have: "
            f"{_listed(given)}"
        )


def _motor_problems(actuator: PDMotors, name: str, number: int, model: Any) -> Iterator[str]:
    """A drive's torque must reach the joint as it is: the motor's curve is applied before."""
    joint = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, name)
    if model.actuator_trntype[number] != mujoco.mjtTrn.mjTRN_JOINT or model.actuator_trnid[number, 0] != joint:
        yield f"actuators.{name}: the model's motor of this name must act on the joint {name!r}"
    gain = model.actuator_gainprm[number, 0] * model.actuator_gear[number, 0]
    if abs(gain - 1.0) > _SHARE_TOLERANCE:
        yield f"actuators.{name}: the model makes {gain:.4g} N·m of a control of 1; set gear and gain to 1"
    if name not in actuator.motors:
        yield f"actuators.{name}: it has no motor; there are: {_listed(actuator.motors)}"
    elif _most_torque(model, number) < (1 - _SHARE_TOLERANCE) * actuator.motors[name].effort_limit:
        yield (
            f"actuators.{name}: the model allows {_most_torque(model, number):.4g} N·m of the motor's "
            f"{actuator.motors[name].effort_limit:.4g}; widen its ctrlrange and forcerange, and the joint's "
            "actuatorfrcrange"
        )


def _scene_problems(scene: Scene, model: Any) -> Iterator[str]:
    by_field: dict[str, str] = {}
    for variation in scene.all_variations:
        kind = type(variation).__name__
        nominal = {parameter.name: np.array([parameter.nominal]) for parameter in variation.parameters}
        try:
            fields = variation.fields(model, nominal)
        except KeyError as error:
            yield f"variations: {kind} changes what the model does not have: {error.args[0]}"
            continue
        for field, values in fields.items():
            if field in by_field:
                yield f"variations: {by_field[field]} and {kind} both change {field}; only one of them may"
            elif not np.allclose(values[0], getattr(model, field), rtol=_SHARE_TOLERANCE, atol=1e-9):
                yield f"variations: {field} is not what {kind} makes of {_listed(nominal)}; correct what is nominal"
            by_field[field] = kind
    for quantity in scene.quantities:
        yield from _quantity_problems(scene, quantity, model)


def _quantity_problems(scene: Scene, quantity: Quantity, model: Any) -> Iterator[str]:
    kind, names = _sources(scene, quantity, model)
    for name in quantity.of:
        if name not in names and name not in scene.robot.joints:  # these were looked for already
            yield f"quantities.{quantity.name}: there is no {kind} {name!r}; there are: {_listed(names)}"


def _sources(scene: Scene, quantity: Quantity, model: Any) -> tuple[str, list[str]]:
    """What a quantity is read from, in words, and the names of all there are."""
    kind = quantity.kind
    if kind.startswith("joint"):
        return "hinge or slide joint", [n for n in _names(model, "joint") if model.joint(n).type[0] in _ONE_AXIS]
    if kind in ("site_position", "site_velocity", "contact_force"):
        return "site", _names(model, "site")
    if kind == "sensor":
        return "sensor", _names(model, "sensor")
    if kind == "mocap_position":
        return "mocap body", [name for name in _names(model, "body") if model.body(name).mocapid[0] >= 0]
    if kind == "camera":
        return "camera", _names(model, "camera")
    if kind == "parameter":
        return "parameter", [parameter.name for parameter in scene.parameters]
    return "body with a <freejoint/>", _free_bodies(model)


def _driven(actuator: Actuator) -> tuple[str, ...]:
    """The model's actuators that it drives."""
    return tuple(actuator.joints) if isinstance(actuator, PDMotors) else actuator.actuators


def _is_servo(model: Any, number: int) -> bool:
    """Whether the model's actuator holds positions: its force depends on where the joint is."""
    affine = model.actuator_biastype[number] == mujoco.mjtBias.mjBIAS_AFFINE
    return bool(affine and model.actuator_biasprm[number, 1] != 0)


def _most_torque(model: Any, number: int) -> float:
    """N·m of a motor whose gain is 1."""
    bounds = [np.inf]
    if model.actuator_ctrllimited[number]:
        bounds.append(np.abs(model.actuator_ctrlrange[number]).min())
    if model.actuator_forcelimited[number]:
        bounds.append(np.abs(model.actuator_forcerange[number]).min())
    joint = model.actuator_trnid[number, 0]
    if model.actuator_trntype[number] == mujoco.mjtTrn.mjTRN_JOINT and model.jnt_actfrclimited[joint]:
        bounds.append(np.abs(model.jnt_actfrcrange[joint]).min())
    return float(min(bounds))


def _free_bodies(model: Any) -> list[str]:
    return [name for name in _names(model, "body") if _moves_freely(model, name)]


def _moves_freely(model: Any, body: str) -> bool:
    number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, body)
    joint = model.body_jntadr[number] if number >= 0 else -1
    return bool(joint >= 0 and model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE)


def _mass(robot: RobotDescription, model: Any) -> float:
    """kg of the base and all that hangs on it; for a robot that is fixed, of the tree of bodies with its joints."""
    bodies = (model.jnt_bodyid[model.joint(name).id] for name in robot.joints if name in _names(model, "joint"))
    root = model.body(robot.base).id if robot.base else model.body_rootid[next(bodies, 0)]
    return float(model.body_subtreemass[root])


def _names(model: Any, kind: str) -> list[str]:
    """Names of the model's elements of a kind, such as "joint"."""
    count = {"joint": model.njnt, "actuator": model.nu, "body": model.nbody, "site": model.nsite,
             "sensor": model.nsensor, "camera": model.ncam}[kind]  # fmt: skip
    return [name for name in (getattr(model, kind)(i).name for i in range(count)) if name]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
