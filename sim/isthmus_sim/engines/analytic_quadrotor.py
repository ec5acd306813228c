"""The quadrotor integrated analytically for all worlds at once: rigid body by RK4, rotor lag exactly.

Equations as in Eschmann et al. 2023 (no drag, no ground effect). Acceleration depends on attitude and rotor speed
only, so RK4 of the whole state reduces to RK4 of attitude and body rates, with velocity and position following from
the same four stage values; the result is that of RK4 on the full state.
"""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_sim.actuator_formulas import bound_to, lag_share, lagged
from isthmus_sim.actuators import Rotors
from isthmus_sim.engine import (
    Commands,
    Params,
    Resets,
    State,
    UnsupportedError,
    refuse_unknown_params,
    refuse_unknown_state,
)
from isthmus_sim.engines.nominal import nominal
from isthmus_sim.robots.quadrotor.description import GRAVITY, ROTOR_X, ROTOR_Y, ROTOR_YAW
from isthmus_sim.scene import Scene

_follow = bound_to(lagged, where=torch.where)
_lag_share = bound_to(lag_share, expm1=torch.expm1)
_SIZES = {"position": 3, "orientation": 4, "linear_velocity": 3, "angular_velocity": 3, "actuator": 4}

# The rates of attitude and the direction of lift are bilinear forms: one product and one small matrix product instead
# of some thirty operations, each of which costs its dispatch, more than its arithmetic at the usual number of worlds.
_TURN = (  # half of: w·(x y z), x·(x y z), y·(x y z), z·(x y z) of quaternion and body rates
    (0, 0, 0, -1, 0, 0, 0, -1, 0, 0, 0, -1),
    (1, 0, 0, 0, 0, 0, 0, 0, 1, 0, -1, 0),
    (0, 1, 0, 0, 0, -1, 0, 0, 0, 1, 0, 0),
    (0, 0, 1, 0, 1, 0, -1, 0, 0, 0, 0, 0),
)
_LEAN = (  # twice: w·(w x y z), x·(w x y z), y·(w x y z), z·(w x y z) of the quaternion
    (0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0),
    (0, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0),
    (0, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 0),
)


class AnalyticQuadrotor:
    """`Engine`: N quadrotors with four rotors crosswise, without anything around them.

    Raises:
        UnsupportedError: the scene's robot is no such quadrotor, or more is to be read than a free body and its rotors.
    """

    def __init__(self, scene: Scene, num_envs: int, *, device: torch.device | str = "cpu") -> None:
        reason = unsupported(scene)
        if reason:
            raise UnsupportedError(reason)
        self.scene, self.num_envs, self.device = scene, num_envs, torch.device(device)
        self.dt = scene.robot.control_period_s
        self.params = {name: value.to(device) for name, value in nominal(scene, num_envs).items()}
        self.capabilities = frozenset({"wrench", "snapshots", *(f"params:{name}" for name in self.params)})
        self._command = scene.robot.actuators[0].command
        self._read = tuple(quantity.name for quantity in scene.quantities)
        self.force = torch.zeros(num_envs, 3, device=device)
        self.torque = torch.zeros(num_envs, 3, device=device)
        # Rows: position, orientation, velocity, body rates, rotors. Worlds lie along the last axis, so that every
        # operation below runs over contiguous memory: twice as fast as one row per world.
        self.state = torch.zeros(sum(_SIZES.values()), num_envs, device=device)
        self.state[3] = 1.0
        self._turn = 0.5 * torch.tensor(_TURN, dtype=torch.float32, device=device)
        self._lean = 2.0 * torch.tensor(_LEAN, dtype=torch.float32, device=device)
        self._upright = torch.tensor(((0.0,), (0.0,), (1.0,)), device=device)
        self._derive()

    def _derive(self) -> None:
        """Constants that follow from the parameters and the wrench, for every world."""
        p = {name: value.T.contiguous() for name, value in self.params.items()}
        self._rising = tuple(_lag_share(p["time_constant_up"], t) for t in (self.dt / 2, self.dt))
        self._falling = tuple(_lag_share(p["time_constant_down"], t) for t in (self.dt / 2, self.dt))
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

    def advance(self, commands: Commands | None, resets: Resets | None = None) -> State:
        if resets is not None:
            self._reset(resets)
        if commands is not None:
            self._step(commands[self._command])
        state = self._by_name()
        return {name: state[name] for name in self._read}

    def _by_name(self) -> State:
        """The state, (num_envs, size) each, without a copy."""
        return dict(zip(_SIZES, self.state.T.split(list(_SIZES.values()), dim=-1), strict=True))

    def _step(self, command: Tensor) -> None:
        p, q, v, w, rotors = self.state.split((3, 4, 3, 3, 4))
        dt, set_point = self.dt, command.T * self._battery
        middle = _follow(rotors, set_point, self._rising[0], self._falling[0])
        end = _follow(rotors, set_point, self._rising[1], self._falling[1])
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
        q_dot = self._turn @ _products(q, w)
        w_dot = torch.addcmul(angular, self._gyro, w.roll(-1, 0) * w.roll(1, 0))
        up = torch.addmm(self._upright, self._lean, _products(q, q))
        return q_dot, w_dot, torch.addcmul(self._linear, up, lift)

    def _reset(self, resets: Resets) -> None:
        ids = resets.ids
        refuse_unknown_state(_SIZES, resets.state)
        refuse_unknown_params(self.capabilities, resets.params)  # before anything is changed
        self.state[:, ids] = 0.0
        self.state[3, ids] = 1.0
        state = self._by_name()
        for name, rows in resets.state.items():
            state[name][ids] = rows
        if resets.params:
            self.set_params(ids, resets.params)

    def set_params(self, ids: Tensor, params: Params) -> None:
        refuse_unknown_params(self.capabilities, params)
        for name, rows in params.items():
            self.params[name][ids] = rows
        self._derive()

    def apply_wrench(self, force: Tensor, torque: Tensor) -> None:
        self.force, self.torque = force, torque
        self._wrench_acceleration()

    def failed(self) -> Tensor:
        return ~torch.isfinite(self.state.sum(0))

    def snapshot(self) -> dict[str, Tensor]:
        state = {"state": self.state.T, "force": self.force, "torque": self.torque}
        return {name: value.clone() for name, value in state.items()}

    def state_dict(self) -> dict[str, Tensor]:
        state = {"state": self.state.T, "force": self.force, "torque": self.torque}
        return state | {f"params.{name}": value for name, value in self.params.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.state = state["state"].T.clone(memory_format=torch.contiguous_format)
        self.force, self.torque = state["force"].clone(), state["torque"].clone()
        self.params = {name: state[f"params.{name}"].clone() for name in self.params}
        self._derive()

    def close(self) -> None:
        pass


def _products(a: Tensor, b: Tensor) -> Tensor:
    """(i, n) and (j, n) -> (i·j, n): every product of an element of a with one of b."""
    return (a.unsqueeze(1) * b).flatten(0, 1)


def unsupported(scene: Scene) -> str | None:
    """Why this engine cannot simulate a scene, in a sentence; None when it can."""
    robot = scene.robot
    rotors = robot.actuators[0] if len(robot.actuators) == 1 else None
    needed = {"mass", "inertia", "arm", "torque_ratio", "thrust_coefficient", "battery"}
    if not isinstance(rotors, Rotors) or len(rotors.actuators) != 4 or not needed <= {p.name for p in scene.parameters}:
        return f"the engine 'analytic' simulates four rotors crosswise, which {robot.name} is not; use 'mujoco'"
    others = sorted({quantity.name for quantity in scene.quantities} - set(_SIZES))
    return f"the engine 'analytic' reads no {', '.join(others)}; use 'mujoco'" if others else None
