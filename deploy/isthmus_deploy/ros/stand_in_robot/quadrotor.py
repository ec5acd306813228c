"""The stand-in robot's body and sensors: MuJoCo with parameters that the policy does not know."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray

from isthmus_deploy.robot_interface import CommandInterface, Joint, RobotInterface, SignalInterface
from isthmus_sim.robots.quadrotor import SPEC, QuadrotorParameters, one_quadrotor, sample_parameters
from isthmus_sim.robots.quadrotor_mjcf import quadrotor_mjcf

TIMESTEP_S = 0.001
# Sensor noise, one sigma: Eschmann, Albani, Loianno (2023).
_POSITION_NOISE = 0.001  # m
_ROTATION_NOISE = 0.001  # rad
_VELOCITY_NOISE = 0.002  # m/s
_RATE_NOISE = 0.002  # rad/s
_ESTIMATOR_DELAY_S = (0.010, 0.030)  # the velocity estimate's; RAPTOR (2025) finds it to explain oscillation in flight


@dataclass(kw_only=True)
class Readings:
    """One sample of the body: position m world, orientation wxyz, linear m/s and angular rad/s velocity in the body."""

    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    linear_velocity: NDArray[np.float64]
    angular_velocity: NDArray[np.float64]


def robot_interface() -> RobotInterface:
    """What the stand-in robot says of itself."""
    signals = tuple(
        SignalInterface(name=s.name, shape=(s.size,), unit=s.unit, frame=s.frame, order=s.order) for s in SPEC.signals
    )
    commands = tuple(
        CommandInterface(
            name=c.name,
            shape=(c.size,),
            unit=c.unit,
            frame=c.frame,
            order=c.order,
            minimum=c.minimum,
            maximum=c.maximum,
        )
        for c in SPEC.commands
    )
    return RobotInterface(
        robot=SPEC.name,
        control_period_s=SPEC.control_period_s,
        signals=signals,
        commands=commands,
        joints={name: Joint(**vars(joint)) for name, joint in SPEC.joints.items()},
    )


class World:
    """One quadrotor on the ground, in MuJoCo at 1 kHz, with motor lag, sensor noise and a late velocity estimate.

    Args:
        seed: Draws the body from the randomised set of training, the estimator's delay, and the noise.
    """

    def __init__(self, seed: int) -> None:
        self.parameters = one_quadrotor(sample_parameters(1, torch.Generator().manual_seed(seed)))
        self._random = np.random.default_rng(seed)
        self.estimator_delay_s = float(self._random.uniform(*_ESTIMATOR_DELAY_S))
        self._model = mujoco.MjModel.from_xml_string(quadrotor_mjcf(self.parameters, scene=True, timestep=TIMESTEP_S))
        self._data = mujoco.MjData(self._model)
        mujoco.mj_forward(self._model, self._data)
        self._motors = _Motors(self.parameters)
        delay_steps = round(self.estimator_delay_s / TIMESTEP_S)
        self._velocities = deque([self._body_velocity()], maxlen=delay_steps + 1)

    @property
    def time_s(self) -> float:
        """Simulated time, s."""
        return self._data.time

    def step(self, set_point: NDArray[np.float64]) -> None:
        """One physics step with the motors' set-points (4,), rad/s."""
        self._data.ctrl[:] = self._motors.thrust(set_point)
        mujoco.mj_step(self._model, self._data)
        self._velocities.append(self._body_velocity())

    def truth(self) -> Readings:
        """The body as it is."""
        return Readings(
            position=self._data.qpos[:3].copy(),
            orientation=self._data.qpos[3:7].copy(),
            linear_velocity=self._body_velocity(),
            angular_velocity=self._data.qvel[3:6].copy(),
        )

    def sense(self) -> Readings:
        """The body as its sensors see it."""
        draw, truth = self._random.normal, self.truth()
        return Readings(
            position=truth.position + draw(0.0, _POSITION_NOISE, 3),
            orientation=_turn(truth.orientation, draw(0.0, _ROTATION_NOISE, 3)),
            linear_velocity=self._velocities[0] + draw(0.0, _VELOCITY_NOISE, 3),
            angular_velocity=truth.angular_velocity + draw(0.0, _RATE_NOISE, 3),
        )

    def _body_velocity(self) -> NDArray[np.float64]:
        body = np.empty(3)
        inverse = np.empty(4)
        mujoco.mju_negQuat(inverse, self._data.qpos[3:7])
        mujoco.mju_rotVecQuat(body, self._data.qvel[:3], inverse)
        return body


class _Motors:
    """Rotor speeds that follow a sagging battery's share of their set-points, with different lags up and down."""

    def __init__(self, parameters: QuadrotorParameters) -> None:
        self._parameters = parameters
        self._speed = np.zeros(4)
        self._rising = -math.expm1(-TIMESTEP_S / parameters.time_constant_up)
        self._falling = -math.expm1(-TIMESTEP_S / parameters.time_constant_down)

    def thrust(self, set_point: NDArray[np.float64]) -> NDArray[np.float64]:
        """Thrusts (4,) in N after one physics step towards `set_point` (4,), rad/s."""
        gap = set_point * self._parameters.battery - self._speed
        self._speed += gap * np.where(gap > 0, self._rising, self._falling)
        return self._parameters.thrust_coefficient * np.square(self._speed)


def _turn(orientation: NDArray[np.float64], rotation_vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """`orientation` (4,) wxyz after a body-frame turn by `rotation_vector` (3,) rad."""
    turned = orientation.copy()
    mujoco.mju_quatIntegrate(turned, rotation_vector, 1.0)
    return turned
