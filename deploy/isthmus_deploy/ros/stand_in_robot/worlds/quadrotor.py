"""The stand-in quadrotor's body and sensors: MuJoCo with parameters that the policy does not know."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict

import mujoco
import numpy as np
import torch

from isthmus_deploy.ros.stand_in_robot.worlds.free_body import UPSIDE_DOWN, FreeBody, turned
from isthmus_deploy.ros.stand_in_robot.worlds.world import Array
from isthmus_deploy.ros.truth import Truth
from isthmus_sim.robots.quadrotor.description import ROBOT, QuadrotorParameters, one_quadrotor, sample_parameters
from isthmus_sim.robots.quadrotor.mjcf import quadrotor_mjcf

TIMESTEP_S = 0.001
_DROP_M, _SETTLE_S = 0.05, 0.5
# Sensor noise, one sigma: Eschmann, Albani, Loianno (2023).
_POSITION_NOISE = 0.001  # m
_ROTATION_NOISE = 0.001  # rad
_VELOCITY_NOISE = 0.002  # m/s
_RATE_NOISE = 0.002  # rad/s
_ESTIMATOR_DELAY_S = (0.010, 0.030)  # the velocity estimate's; RAPTOR (2025) finds it to explain oscillation in flight


class QuadrotorWorld:
    """One quadrotor on the ground, in MuJoCo at 1 kHz, with motor lag, sensor noise and a late velocity estimate.

    Args:
        seed: Draws the body from the randomised set of training, the estimator's delay, and the noise.
    """

    robot = ROBOT
    timestep_s = TIMESTEP_S
    without_command = "motors off"

    def __init__(self, seed: int) -> None:
        self.parameters = one_quadrotor(sample_parameters(1, torch.Generator().manual_seed(seed)))
        self._random = np.random.default_rng(seed)
        self.estimator_delay_s = float(self._random.uniform(*_ESTIMATOR_DELAY_S))
        self._model = mujoco.MjModel.from_xml_string(quadrotor_mjcf(self.parameters, scene=True, timestep=TIMESTEP_S))
        self._data = mujoco.MjData(self._model)
        mujoco.mj_forward(self._model, self._data)
        self._body = FreeBody(self._model, "base")
        self._motors = _Motors(self.parameters)
        self._off = np.zeros(4)
        delay_steps = round(self.estimator_delay_s / TIMESTEP_S)
        self._velocities = deque([self._body.velocity(self._data)], maxlen=delay_steps + 1)

    @property
    def time_s(self) -> float:
        """Simulated time, s."""
        return self._data.time

    def turn_over(self) -> None:
        """Put it on its back."""
        self._body.hold(self._data, _DROP_M, UPSIDE_DOWN)
        self.step({"rotor_speed": None}, round(_SETTLE_S / TIMESTEP_S))
        self._data.time = 0.0

    def step(self, commands: Mapping[str, Array | None], n: int = 1) -> None:
        """`n` physics steps with the motors' set-points, rotor_speed (4,) rad/s; None for motors off."""
        command = commands["rotor_speed"]
        set_point = self._off if command is None else command
        for _ in range(n):
            self._data.ctrl[:] = self._motors.thrust(set_point)
            mujoco.mj_step(self._model, self._data)
            self._velocities.append(self._body.velocity(self._data))

    def truth(self) -> Truth:
        """The body as it is."""
        return self._body.truth(self._data)

    def sense(self) -> dict[str, Array]:
        """The body as its sensors see it."""
        draw, truth = self._random.normal, self.truth()
        return {
            "position": truth.position + draw(0.0, _POSITION_NOISE, 3),
            "orientation": turned(truth.orientation, draw(0.0, _ROTATION_NOISE, 3)),
            "linear_velocity": self._velocities[0] + draw(0.0, _VELOCITY_NOISE, 3),
            "angular_velocity": truth.angular_velocity + draw(0.0, _RATE_NOISE, 3),
        }

    def hidden(self) -> dict[str, object]:
        """The body's parameters and the estimator's delay."""
        return {"parameters": asdict(self.parameters), "estimator_delay_s": self.estimator_delay_s}

    def close(self) -> None:
        """Nothing is held."""


class _Motors:
    """Rotor speeds that follow a sagging battery's share of their set-points, with different lags up and down."""

    def __init__(self, parameters: QuadrotorParameters) -> None:
        self._parameters = parameters
        self._speed = np.zeros(4)
        self._rising = -math.expm1(-TIMESTEP_S / parameters.time_constant_up)
        self._falling = -math.expm1(-TIMESTEP_S / parameters.time_constant_down)

    def thrust(self, set_point: Array) -> Array:
        """Thrusts (4,) in N after one physics step towards `set_point` (4,), rad/s."""
        gap = set_point * self._parameters.battery - self._speed
        self._speed += gap * np.where(gap > 0, self._rising, self._falling)
        return self._parameters.thrust_coefficient * np.square(self._speed)
