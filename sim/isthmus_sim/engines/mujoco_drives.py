"""The kinds of actuators in MuJoCo on CPU threads: what each writes into the model's controls, in NumPy.

NumPy, because it stays on its thread: torch's threads would spin on the cores that the physics needs.
"""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import warnings
from typing import Protocol

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus_sim.actuator_formulas import dry_friction, lag_share, lagged, motor_torque, pd_effort
from isthmus_sim.actuators import Actuator, LearnedMotors, PDMotors, PositionServos, Rotors, Torques
from isthmus_sim.engine import Params
from isthmus_sim.engines.mujoco_model import columns, joint_columns
from isthmus_sim.engines.mujoco_quantities import Memory
from isthmus_sim.residual import familiar, network

Array = NDArray[np.float64]


class Drive(Memory, Protocol):
    """One actuator of n worlds."""

    command: str
    closed_loop: bool
    """Whether controls depend on how the joints move within the control period."""

    def derive(self, params: Params) -> None:
        """Take over parameters that have changed."""
        ...

    def begin(self, command: Tensor) -> None:
        """Start a control period with `command` (n, size) held."""
        ...

    def control(self, step: int, qpos: Array, qvel: Array, controls: Array) -> None:
        """Write the controls (n, nu) of one physics step of the period."""
        ...

    def end(self) -> None:
        """The control period is over."""
        ...

    def reset(self, ids: Tensor) -> None:
        """Forget what was in worlds `ids`."""
        ...


def make_drive(actuator: Actuator, model: mujoco.MjModel, num_envs: int, num_substeps: int) -> Drive:
    """The drive of `num_envs` worlds for an actuator of the description."""
    if isinstance(actuator, LearnedMotors):
        return LearnedDrive(actuator, model, num_envs, num_substeps)
    if isinstance(actuator, PDMotors):
        return PDDrive(actuator, model, num_envs, num_substeps)
    if isinstance(actuator, Rotors):
        return RotorDrive(actuator, model, num_envs, num_substeps)
    return DirectDrive(actuator, model, num_envs)


class DirectDrive:
    """Servos and motors whose control is the command, but for its unit."""

    closed_loop = False
    joints: tuple[str, ...] = ()

    def __init__(self, actuator: PositionServos | Torques, model: mujoco.MjModel, num_envs: int) -> None:
        self.command = actuator.command
        self.memory: dict[str, Tensor] = {}
        self.remembered: Tensor | None = None
        self._u = columns([int(model.actuator(name).id) for name in actuator.actuators])
        size = len(actuator.actuators)
        servo = actuator if isinstance(actuator, PositionServos) else None
        self._scale = np.array(servo.scale if servo and servo.scale else (1.0,) * size)
        self._offset = np.array(servo.offset if servo and servo.offset else (0.0,) * size)
        self._held = np.zeros((num_envs, size))

    def derive(self, params: Params) -> None:
        pass  # the model's actuators have no parameters here

    def begin(self, command: Tensor) -> None:
        self._held = command.double().numpy() * self._scale + self._offset

    def control(self, step: int, qpos: Array, qvel: Array, controls: Array) -> None:
        controls[:, self._u] = self._held

    def end(self) -> None:
        pass

    def reset(self, ids: Tensor) -> None:
        pass  # the next command is all that counts


class PDDrive:
    """PD control and DC motors at every physics step; see `PDMotors`."""

    closed_loop = True

    def __init__(self, actuator: PDMotors, model: mujoco.MjModel, num_envs: int, num_substeps: int) -> None:
        self.command = actuator.command
        self.joints, self._prefix = tuple(actuator.joints), actuator.prefix
        self._q, self._v = joint_columns(model, self.joints)
        self._u = columns([int(model.actuator(name).id) for name in self.joints])
        motors = [actuator.motors[name] for name in self.joints]
        self._effort_limit = np.array([m.effort_limit for m in motors])
        self._saturation = np.array([m.saturation_effort for m in motors])
        self._no_load_speed = np.array([m.no_load_speed for m in motors])
        self._friction = np.array([m.friction for m in motors])
        self._timestep, self._num_substeps = model.opt.timestep, num_substeps
        self._default = torch.tensor([joint.default_position for joint in actuator.joints.values()])
        target = self._default.repeat(num_envs, 1)
        self.memory = {
            "target": target,
            "joint_torque": torch.zeros_like(target),
            "joint_power": torch.zeros_like(target),
        }
        self.remembered: Tensor | None = target

    def derive(self, params: Params) -> None:
        self._stiffness, self._damping, self._strength = (
            params[self._prefix + name].double().numpy() for name in ("stiffness", "damping", "strength")
        )
        self._delay = (params[f"{self._prefix}command_delay_s"] / self._timestep).round().numpy()

    def begin(self, command: Tensor) -> None:
        self._command = command
        self._before, self._target = self.memory["target"].double().numpy(), command.double().numpy()
        self._torques, self._powers = np.zeros_like(self._target), np.zeros_like(self._target)

    def control(self, step: int, qpos: Array, qvel: Array, controls: Array) -> None:
        acting, velocity = np.where(step < self._delay, self._before, self._target), qvel[:, self._v]
        torque = self._torque(acting, qpos[:, self._q], velocity)
        self._torques += torque
        self._powers += torque * velocity
        controls[:, self._u] = torque - dry_friction(velocity, self._friction)

    def _torque(self, target: Array, position: Array, velocity: Array) -> Array:
        """What the motors give, N·m, (n, joints)."""
        wanted = pd_effort(target, position, velocity, self._stiffness, self._damping)
        return motor_torque(
            wanted, velocity, self._strength, self._effort_limit, self._saturation, self._no_load_speed
        )

    def end(self) -> None:
        self.memory["target"].copy_(self._command)
        self.memory["joint_torque"].copy_(torch.from_numpy(self._torques / self._num_substeps))
        self.memory["joint_power"].copy_(torch.from_numpy(self._powers / self._num_substeps))

    def reset(self, ids: Tensor) -> None:
        self.memory["target"][ids] = self._default
        self.memory["joint_torque"][ids] = 0.0
        self.memory["joint_power"][ids] = 0.0


class LearnedDrive(PDDrive):
    """PD control, DC motors and what they give beside that; see `LearnedMotors`.

    Outside of what its logs showed a residual gives nothing, and the motor's formula is alone; the first time that
    this happens to a joint is a warning.
    """

    def __init__(self, actuator: LearnedMotors, model: mujoco.MjModel, num_envs: int, num_substeps: int) -> None:
        super().__init__(actuator, model, num_envs, num_substeps)
        self._residuals = [
            (column, name, np.array(found.units).reshape(-1, 4), found.grid)
            for column, name in enumerate(self.joints)
            if (found := actuator.residuals.get(name))
        ]
        self.alone = np.zeros(len(self.joints))
        """Physics steps of worlds in which each joint's formula was alone."""

    def _torque(self, target: Array, position: Array, velocity: Array) -> Array:
        torque = super()._torque(target, position, velocity)
        asked = np.clip(self._stiffness * (target - position) / self._saturation, -1.0, 1.0)
        speed = velocity / self._no_load_speed
        for column, name, units, grid in self._residuals:
            given = asked[:, column], speed[:, column]
            share = familiar(grid, *given)
            self._tell(column, name, np.stack(given)[:, share == 0.0])
            torque[:, column] += self._strength[:, column] * self._saturation[column] * share * network(units, *given)
        return torque

    def _tell(self, column: int, name: str, unknown: Array) -> None:
        """Count where a formula is alone: unknown (2, k) are the inputs there. Warn the first time."""
        if unknown.size and not self.alone[column]:
            warnings.warn(
                f"{name}: here its motor is asked for what no log of its residual shows ({unknown[0, 0]:.2f} of the "
                f"stall torque at {unknown[1, 0]:.2f} of the no-load speed), so its formula is alone",
                stacklevel=2,
            )
        self.alone[column] += unknown.shape[1]


class RotorDrive:
    """Rotors that follow their set-points with a lag; see `Rotors`.

    Within a control period the set-point is constant, so the speeds at the ends of all physics steps are known
    beforehand.
    """

    closed_loop = False
    joints: tuple[str, ...] = ()

    def __init__(self, actuator: Rotors, model: mujoco.MjModel, num_envs: int, num_substeps: int) -> None:
        self.command = actuator.command
        self._u = columns([int(model.actuator(name).id) for name in actuator.actuators])
        self._times = model.opt.timestep * np.arange(1, num_substeps + 1).reshape(-1, 1, 1)
        self.remembered: Tensor | None = torch.zeros(num_envs, len(actuator.actuators))
        self.memory = {"rotor_speed": self.remembered}

    def derive(self, params: Params) -> None:
        self._rising, self._falling = (
            lag_share(params[f"time_constant_{way}"].double().numpy(), self._times) for way in ("up", "down")
        )  # (substeps, n, 1)
        self._thrust_coefficient, self._battery = (
            params[name].double().numpy() for name in ("thrust_coefficient", "battery")
        )

    def begin(self, command: Tensor) -> None:
        start = self.memory["rotor_speed"].double().numpy()
        set_point = command.double().numpy() * self._battery
        self._ends = lagged(start, set_point, self._rising, self._falling)  # (substeps, n, k)
        self._starts = np.concatenate((start[None], self._ends[:-1]))

    def control(self, step: int, qpos: Array, qvel: Array, controls: Array) -> None:
        # Thrust goes with the square of the speed; over a physics step it is taken at the mean speed.
        mean = 0.5 * (self._starts[step] + self._ends[step])
        controls[:, self._u] = mean * mean * self._thrust_coefficient

    def end(self) -> None:
        self.memory["rotor_speed"].copy_(torch.from_numpy(self._ends[-1]))

    def reset(self, ids: Tensor) -> None:
        self.memory["rotor_speed"][ids] = 0.0
