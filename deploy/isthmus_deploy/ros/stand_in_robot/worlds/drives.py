"""What a unit's actuators make of commands at every physics step, and what they do without any: they only damp."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections import deque
from typing import Protocol

import mujoco
import numpy as np

from isthmus_deploy.ros.stand_in_robot.worlds.unit import Values
from isthmus_deploy.ros.stand_in_robot.worlds.world import Array
from isthmus_sim.actuator_formulas import lag_share, lagged, motor_torque, pd_effort
from isthmus_sim.actuators import Actuator, LearnedMotors, PDMotors, PositionServos, Rotors, Torques
from isthmus_sim.description import RobotDescription


class Drive(Protocol):
    """One actuator of a robot."""

    command: str
    """Name of its command."""

    def control(self, command: Array | None, data: mujoco.MjData) -> None:
        """Write the controls of one physics step; `command` in its order and unit, None for none."""
        ...


def make_drive(actuator: Actuator, robot: RobotDescription, model: mujoco.MjModel, values: Values) -> Drive:
    """The drive of an actuator in a unit with these parameters. Raises ValueError for what a unit does not have."""
    if isinstance(actuator, LearnedMotors):
        raise ValueError(f"{robot.name}: a stand-in has no learnt residuals; give it the PDMotors that they are beside")
    if isinstance(actuator, PDMotors):
        return PDDrive(actuator, model, values)
    if isinstance(actuator, PositionServos):
        return ServoDrive(actuator, model)
    if isinstance(actuator, Torques):
        return TorqueDrive(actuator, robot, model)
    return RotorDrive(actuator, model, values)


class PDDrive:
    """Position control in the motors, and what these can give at their speed; see `PDMotors`. A command acts after the
    unit's delay."""

    def __init__(self, actuator: PDMotors, model: mujoco.MjModel, values: Values) -> None:
        self.command = actuator.command
        joints = [model.joint(name) for name in actuator.joints]
        self._q = np.array([joint.qposadr[0] for joint in joints])
        self._v = np.array([joint.dofadr[0] for joint in joints])
        self._u = _numbers(model, tuple(actuator.joints))
        motors = [actuator.motors[name] for name in actuator.joints]
        self._limits = tuple(
            np.array([getattr(motor, name) for motor in motors])
            for name in ("effort_limit", "saturation_effort", "no_load_speed")
        )
        own = {name.removeprefix(actuator.prefix): values[name] for name in (p.name for p in actuator.parameters)}
        self._stiffness, self._damping, self._strength = own["stiffness"], own["damping"], own["strength"]
        delay_steps = round(own["command_delay_s"].item() / model.opt.timestep)
        self._line: deque[Array | None] = deque([None] * (delay_steps + 1), maxlen=delay_steps + 1)

    def control(self, command: Array | None, data: mujoco.MjData) -> None:
        self._line.append(command)
        acting, position, speed = self._line[0], data.qpos[self._q], data.qvel[self._v]
        target = position if acting is None else acting
        wanted = pd_effort(target, position, speed, self._stiffness, self._damping)
        data.ctrl[self._u] = motor_torque(wanted, speed, self._strength, *self._limits)


class ServoDrive:
    """Servos of the model with gains of their own; see `PositionServos`."""

    def __init__(self, actuator: PositionServos, model: mujoco.MjModel) -> None:
        self.command = actuator.command
        self._u = _numbers(model, actuator.actuators)
        self._scale = np.array(actuator.scale or (1.0,) * len(self._u))
        self._offset = np.array(actuator.offset or (0.0,) * len(self._u))

    def control(self, command: Array | None, data: mujoco.MjData) -> None:
        # A servo that is told to be where it is has no error left: only its damping acts.
        data.ctrl[self._u] = data.actuator_length[self._u] if command is None else self._scale * command + self._offset


class TorqueDrive:
    """Motors that give the torque that they are told; see `Torques`."""

    def __init__(self, actuator: Torques, robot: RobotDescription, model: mujoco.MjModel) -> None:
        self.command = actuator.command
        self._u = _numbers(model, actuator.actuators)
        joints = [model.joint(int(model.actuator_trnid[u, 0])) for u in self._u]
        self._v = np.array([joint.dofadr[0] for joint in joints])
        self._damping = np.array([robot.joints[joint.name].damping for joint in joints])

    def control(self, command: Array | None, data: mujoco.MjData) -> None:
        data.ctrl[self._u] = -self._damping * data.qvel[self._v] if command is None else command


class RotorDrive:
    """Rotors that follow a sagging battery's share of their set-points with a lag; see `Rotors`. Without a command they
    run down."""

    def __init__(self, actuator: Rotors, model: mujoco.MjModel, values: Values) -> None:
        self.command = actuator.command
        self._u = _numbers(model, actuator.actuators)
        self._off = self._speed = np.zeros(len(self._u))
        self._rising, self._falling = (
            lag_share(values[f"time_constant_{way}"], model.opt.timestep) for way in ("up", "down")
        )
        self._battery, self._thrust_coefficient = values["battery"], values["thrust_coefficient"]

    def control(self, command: Array | None, data: mujoco.MjData) -> None:
        set_point = self._off if command is None else command * self._battery
        self._speed = lagged(self._speed, set_point, self._rising, self._falling)
        data.ctrl[self._u] = self._thrust_coefficient * self._speed * self._speed


def _numbers(model: mujoco.MjModel, actuators: tuple[str, ...]) -> Array:
    return np.array([model.actuator(name).id for name in actuators])
