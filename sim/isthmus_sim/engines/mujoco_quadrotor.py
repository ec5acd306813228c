"""The quadrotor in MuJoCo: rotor lag at every sub-step, thrust through the model's motors."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import torch
from torch import Tensor

from isthmus_sim.engine import State, refuse_unknown_params
from isthmus_sim.engines.mujoco_batch import MujocoEngine
from isthmus_sim.engines.rotors import follow, lag_weight
from isthmus_sim.robots.quadrotor.description import (
    CRAZYFLIE,
    PARAMETER_SIZES,
    ROTOR_X,
    ROTOR_Y,
    ROTOR_YAW,
    SPEC,
    QuadrotorParameters,
    parameter_tensors,
)
from isthmus_sim.robots.quadrotor.mjcf import quadrotor_mjcf
from isthmus_sim.threads import THREADS


class MujocoQuadrotor(MujocoEngine):
    """N quadrotors in MuJoCo. `step` takes rotor speed set-points (num_envs, 4) in rad/s.

    `scene` adds the ground and contact. Same parameters, wrench and state as `AnalyticQuadrotor`.
    """

    capabilities = frozenset({"wrench", *(f"params:{name}" for name in PARAMETER_SIZES)})

    def __init__(
        self,
        num_envs: int,
        parameters: QuadrotorParameters = CRAZYFLIE,
        *,
        scene: bool = False,
        timestep: float = 0.002,
        dt: float = SPEC.control_period_s,
        num_threads: int = THREADS.physics,
    ) -> None:
        model = mujoco.MjModel.from_xml_string(quadrotor_mjcf(parameters, scene=scene, timestep=timestep))
        super().__init__(model, num_envs, dt, num_threads)
        self.rotor_speed = torch.zeros(num_envs, 4)
        self.params = parameter_tensors(parameters, num_envs)
        self._signs = torch.tensor((ROTOR_X, ROTOR_Y, (0.0,) * 4)).T  # (4, 3): where each rotor's arm points
        self._thrust = torch.zeros(num_envs, self.num_substeps, 4, dtype=torch.float64)  # N
        # torch splits larger arrays over its threads, which then spin for a while on the cores that MuJoCo's threads
        # need (at 4096 worlds a tenth of the throughput): so the worlds go through in blocks below its limit of 32768
        # elements.
        block = 32_000 // (4 * self.num_substeps)
        self._blocks = [slice(first, first + block) for first in range(0, num_envs, block)]
        self._derive()

    def _derive(self) -> None:
        # Within a control period the set-point is constant, so the lag is known at every sub-step beforehand: all
        # thrusts go to MuJoCo in one call.
        times = self.model.opt.timestep * torch.arange(1, self.num_substeps + 1).reshape(1, -1, 1)
        self._rising = lag_weight(self.params["time_constant_up"].unsqueeze(1), times)  # (n, substeps, 1)
        self._falling = lag_weight(self.params["time_constant_down"].unsqueeze(1), times)

    def read(self) -> State:
        state = super().read()
        state.actuator = self.rotor_speed
        return state

    def step(self, command: Tensor) -> None:
        set_point = (command * self.params["battery"]).unsqueeze(1)
        for rows in self._blocks:
            start = self.rotor_speed[rows].unsqueeze(1)
            ends = follow(start, set_point[rows], self._rising[rows], self._falling[rows])  # (n, substeps, 4)
            # Thrust goes with the square of the speed; over a sub-step it is taken at the mean speed.
            mean = 0.5 * (torch.cat((start, ends[:, :-1]), dim=1) + ends)
            self._thrust[rows] = mean.square() * self.params["thrust_coefficient"][rows].unsqueeze(1)
            self.rotor_speed[rows] = ends[:, -1]
        self._advance(self._thrust)

    def reset(self, ids: Tensor, state: State) -> None:
        super().reset(ids, state)
        self.rotor_speed[ids] = state.actuator

    def set_params(self, ids: Tensor, **params: Tensor) -> None:
        refuse_unknown_params(self.capabilities, params)
        for name, value in params.items():
            self.params[name][ids] = value
        self._derive()
        super().set_params(ids, **self._model_fields(ids))

    def _model_fields(self, ids: Tensor) -> dict[str, Tensor]:
        """The parameters of worlds `ids` as MuJoCo's model fields."""
        p = {name: value[ids].double() for name, value in self.params.items()}
        mass = torch.from_numpy(self.model.body_mass).repeat(len(ids), 1)
        inertia = torch.from_numpy(self.model.body_inertia).repeat(len(ids), 1, 1)
        mass[:, self._base] = p["mass"].squeeze(-1)
        inertia[:, self._base] = p["inertia"]
        gear = torch.from_numpy(self.model.actuator_gear).repeat(len(ids), 1, 1)
        gear[:, :, 5] = torch.tensor(ROTOR_YAW) * p["torque_ratio"]
        sites = self._signs * p["arm"].unsqueeze(-1)
        return {"body_mass": mass, "body_inertia": inertia, "actuator_gear": gear, "site_pos": sites}

    def state_dict(self) -> dict[str, Tensor]:
        params = {f"params.{name}": value for name, value in self.params.items()}
        return super().state_dict() | {"rotor_speed": self.rotor_speed} | params

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        super().load_state_dict(state)
        self._derive()
