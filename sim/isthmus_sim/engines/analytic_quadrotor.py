"""The quadrotor integrated analytically for all worlds at once: rigid body by RK4, rotor lag exactly.

Equations as in Eschmann et al. 2023 (no drag, no ground effect). Acceleration depends on attitude and rotor speed
only, so RK4 of the whole state reduces to RK4 of attitude and body rates, with velocity and position following from
the same four stage values; the result is that of RK4 on the full state.
"""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_sim.engine import State, refuse_unknown_params
from isthmus_sim.engines.rotors import follow, lag_weight
from isthmus_sim.robots.quadrotor.description import (
    CRAZYFLIE,
    GRAVITY,
    PARAMETER_SIZES,
    ROTOR_X,
    ROTOR_Y,
    ROTOR_YAW,
    SPEC,
    QuadrotorParameters,
    parameter_tensors,
)


class AnalyticQuadrotor:
    """N quadrotors without a scene. `step` takes rotor speed set-points (num_envs, 4) in rad/s."""

    capabilities = frozenset({"wrench", *(f"params:{name}" for name in PARAMETER_SIZES)})

    def __init__(
        self,
        num_envs: int,
        device: torch.device | str = "cpu",
        parameters: QuadrotorParameters = CRAZYFLIE,
        dt: float = SPEC.control_period_s,
    ) -> None:
        self.num_envs = num_envs
        self.device = torch.device(device)
        self.dt = dt
        self.params = {name: value.to(device) for name, value in parameter_tensors(parameters, num_envs).items()}
        self.force = torch.zeros(num_envs, 3, device=device)
        self.torque = torch.zeros(num_envs, 3, device=device)
        # Rows: position, orientation, velocity, body rates, rotors. Worlds lie along the last axis, so that every
        # operation below runs over contiguous memory: twice as fast as one row per world.
        self.state = torch.zeros(17, num_envs, device=device)
        self.state[3] = 1.0
        self._derive()

    def _derive(self) -> None:
        """Constants that follow from the parameters and the wrench, for every world."""
        p = {name: value.T.contiguous() for name, value in self.params.items()}
        self._rising = tuple(lag_weight(p["time_constant_up"], t) for t in (self.dt / 2, self.dt))
        self._falling = tuple(lag_weight(p["time_constant_down"], t) for t in (self.dt / 2, self.dt))
        self._battery, self._mass, self._inertia = p["battery"], p["mass"], p["inertia"]
        lever = torch.tensor((ROTOR_Y, [-x for x in ROTOR_X], ROTOR_YAW), device=self.device)
        per_thrust = torch.cat((p["arm"], p["arm"], p["torque_ratio"])) / p["inertia"]
        turn = lever.unsqueeze(-1) * per_thrust.unsqueeze(1)  # (3, 4, n): body acceleration per rotor's thrust
        lift = (1 / p["mass"]).expand(1, 4, -1)
        self._allocation = torch.cat((turn, lift)) * p["thrust_coefficient"]
        jx, jy, jz = p["inertia"]
        self._gyro = torch.stack(((jy - jz) / jx, (jz - jx) / jy, (jx - jy) / jz))
        self._wrench_acceleration()

    def _wrench_acceleration(self) -> None:
        self._linear = self.force.T / self._mass
        self._linear[2] -= GRAVITY
        self._angular = self.torque.T / self._inertia

    def read(self) -> State:
        p, q, v, w, rotors = (rows.T for rows in self.state.split((3, 4, 3, 3, 4)))
        return State(position=p, orientation=q, linear_velocity=v, angular_velocity=w, actuator=rotors)

    def step(self, command: Tensor) -> None:
        p, q, v, w, rotors = self.state.split((3, 4, 3, 3, 4))
        dt, set_point = self.dt, command.T * self._battery
        middle = follow(rotors, set_point, self._rising[0], self._falling[0])
        end = follow(rotors, set_point, self._rising[1], self._falling[1])
        before, half, after = (self._drive(r) for r in (rotors, middle, end))

        q1, w1, a1 = self._derivative(q, w, before)
        q2, w2, a2 = self._derivative(torch.add(q, q1, alpha=dt / 2), torch.add(w, w1, alpha=dt / 2), half)
        q3, w3, a3 = self._derivative(torch.add(q, q2, alpha=dt / 2), torch.add(w, w2, alpha=dt / 2), half)
        q4, w4, a4 = self._derivative(torch.add(q, q3, alpha=dt), torch.add(w, w3, alpha=dt), after)

        a23 = a2 + a3
        new_p = p + dt * v + (dt * dt / 6) * (a1 + a23)
        new_v = v + (dt / 6) * (a1 + 2 * a23 + a4)
        new_q = q + (dt / 6) * (q1 + 2 * (q2 + q3) + q4)
        new_q = new_q / new_q.norm(dim=0, keepdim=True)
        new_w = w + (dt / 6) * (w1 + 2 * (w2 + w3) + w4)
        self.state = torch.cat((new_p, new_q, new_v, new_w, end))

    def _drive(self, rotors: Tensor) -> tuple[Tensor, Tensor]:
        """Rotor speeds (4, n) -> angular acceleration (3, n) and lift along body z (1, n) m/s²."""
        drive = (self._allocation * rotors.square()).sum(1)
        return drive[:3] + self._angular, drive[3:]

    def _derivative(self, q: Tensor, w: Tensor, drive: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Rates of attitude (4, n) and body rates (3, n), and linear acceleration (3, n) in the world, m/s²."""
        angular, lift = drive
        qw, qx, qy, qz = q
        wx, wy, wz = 0.5 * w
        q_dot = torch.stack(
            (
                -qx * wx - qy * wy - qz * wz,
                qw * wx + qy * wz - qz * wy,
                qw * wy + qz * wx - qx * wz,
                qw * wz + qx * wy - qy * wx,
            )
        )
        w_dot = torch.addcmul(angular, self._gyro, w.roll(-1, 0) * w.roll(1, 0))
        up = torch.stack((qx * qz + qw * qy, qy * qz - qw * qx, 0.5 - (qx * qx + qy * qy)))
        return q_dot, w_dot, torch.addcmul(self._linear, up, lift, value=2.0)

    def reset(self, ids: Tensor, state: State) -> None:
        rows = (state.position, state.orientation, state.linear_velocity, state.angular_velocity, state.actuator)
        self.state[:, ids] = torch.cat(rows, dim=-1).T

    def set_params(self, ids: Tensor, **params: Tensor) -> None:
        refuse_unknown_params(self.capabilities, params)
        for name, value in params.items():
            self.params[name][ids] = value
        self._derive()

    def apply_wrench(self, force: Tensor, torque: Tensor) -> None:
        self.force, self.torque = force, torque
        self._wrench_acceleration()

    def failed(self) -> Tensor:
        return ~torch.isfinite(self.state.sum(0))

    def state_dict(self) -> dict[str, Tensor]:
        return {"state": self.state.T, "force": self.force, "torque": self.torque, **self.params}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.state = state["state"].T.clone(memory_format=torch.contiguous_format)
        self.force, self.torque = state["force"].clone(), state["torque"].clone()
        self.params = {name: state[name].clone() for name in self.params}
        self._derive()

    def close(self) -> None:
        pass
