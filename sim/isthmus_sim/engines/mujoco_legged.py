"""A legged robot in MuJoCo on CPU threads: PD and motor limits at every physics step, feet, terrain."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable

import mujoco
import mujoco.batch
import numpy as np
import torch
from torch import Tensor

from isthmus_sim.description import RobotSpec
from isthmus_sim.engine import ArticulatedState, State, refuse_unknown_params
from isthmus_sim.engines.legged import (
    FOOT_SENSORS,
    GROUND,
    PARAMETERS,
    default_parameters,
    foot_columns,
    prepared,
    refuse_overload,
)
from isthmus_sim.engines.motors import MotorLimits, dry_friction, pd_torque
from isthmus_sim.engines.mujoco_batch import MujocoEngine
from isthmus_sim.robots.quadruped.description import Motor
from isthmus_sim.terrain import Terrain
from isthmus_sim.threads import THREADS


class MujocoLegged(MujocoEngine):
    """N legged robots in MuJoCo. `step` takes joint position targets (num_envs, j) in rad, held for a control period.

    `model` has a free base, joints and motors named as in `spec`, a site for each of `feet` and a geom "ground", which
    `terrain` replaces. `motors`: each joint's drive. `threads`: for physics.

    Parameters per world: stiffness (j) N·m/rad, damping (j) N·m·s/rad, strength (j), the share of the torque that
    arrives; command_delay (1) s, at most a control period, in which the target before still acts; friction (1) of the
    ground; payload (1) kg, which makes the base heavier as it is; com_offset (3) m of the base's centre of mass.

    Where the feet are, how fast and what carries them is of the state before the last physics step: MuJoCo's sensors.
    """

    capabilities = frozenset(f"params:{name}" for name in PARAMETERS) | {"wrench"}

    def __init__(
        self,
        model: mujoco.MjSpec,
        spec: RobotSpec,
        motors: tuple[Motor, ...],
        feet: tuple[str, ...],
        num_envs: int,
        *,
        terrain: Terrain | None = None,
        num_threads: int = THREADS.physics,
    ) -> None:
        compiled = prepared(model, spec.joints, feet, terrain).compile()
        super().__init__(compiled, num_envs, spec.control_period_s, num_threads)
        joints = [self.model.joint(name) for name in spec.joints]
        self._q = _columns([int(joint.qposadr[0]) for joint in joints])
        self._v = _columns([int(joint.dofadr[0]) for joint in joints])
        self._u = _columns([int(self.model.actuator(name).id) for name in spec.joints])
        self._feet = {kind: _columns(foot_columns(self.model, kind, feet)) for kind in FOOT_SENSORS}
        self._sensors = self.batch.bind("sensordata")
        self._ground = int(self.model.geom(GROUND).id)
        self._limits = MotorLimits.of(motors)
        self.params = default_parameters(self.model, spec, num_envs)
        self.target = torch.tensor([joint.default_position for joint in spec.joints.values()]).repeat(num_envs, 1)
        self.joint_torque, self.joint_power = torch.zeros_like(self.target), torch.zeros_like(self.target)
        self._derive()

    def _derive(self) -> None:
        """The drives' parameters as they are needed at every physics step."""
        self._stiffness, self._damping, self._strength = (
            self.params[name].double().numpy() for name in ("stiffness", "damping", "strength")
        )
        self._delay = (self.params["command_delay"] / self.model.opt.timestep).round().numpy()

    def read(self) -> ArticulatedState:
        base = super().read()
        feet = {kind: torch.from_numpy(self._sensors[:, columns]).float() for kind, columns in self._feet.items()}
        return ArticulatedState(
            position=base.position,
            orientation=base.orientation,
            linear_velocity=base.linear_velocity,
            angular_velocity=base.angular_velocity,
            actuator=self.target,
            joint_position=self.qpos[:, self._q].float(),
            joint_velocity=self.qvel[:, self._v].float(),
            joint_torque=self.joint_torque,
            joint_power=self.joint_power,
            foot_position=feet["position"].unflatten(1, (-1, 3)),
            foot_velocity=feet["velocity"].unflatten(1, (-1, 3)),
            foot_force=feet["force"],
        )

    def step(self, command: Tensor) -> None:
        # NumPy, because it stays on this thread: torch's threads would spin on the cores that the physics needs.
        before, target = self.target.double().numpy(), command.double().numpy()
        qpos, qvel, ctrl = self.qpos.numpy(), self.qvel.numpy(), self.ctrl.numpy()
        torques, powers = np.zeros_like(target), np.zeros_like(target)
        self._raised.zero_()
        for k in range(self.num_substeps):
            acting, velocity = np.where(k < self._delay, before, target), qvel[:, self._v]
            torque = pd_torque(
                acting, qpos[:, self._q], velocity, self._stiffness, self._damping, self._strength, self._limits
            )
            torques += torque
            powers += torque * velocity
            ctrl[:, self._u] = torque - dry_friction(velocity, self._limits)
            self._run(lambda: self.batch.step(None, 1, mujoco.mjtStage.mjSTAGE_NONE))
        self.target = command.clone()
        self.joint_torque, self.joint_power = (
            torch.from_numpy(total / self.num_substeps).float() for total in (torques, powers)
        )

    def _run(self, call: Callable[[], None]) -> None:
        """Do this and keep in mind which worlds it failed in."""
        try:
            call()
        except mujoco.batch.SimulationError as error:
            self._raised[torch.from_numpy(np.asarray(error.ids))] = True

    def reset(self, ids: Tensor, state: State) -> None:
        assert isinstance(state, ArticulatedState)
        super().reset(ids, state)
        for live, columns, value in (
            (self.qpos, self._q, state.joint_position),
            (self.qvel, self._v, state.joint_velocity),
        ):
            rows = live[ids]
            rows[:, columns] = value.double()
            live[ids] = rows
        self.target[ids] = state.actuator
        self.joint_torque[ids] = 0.0
        self.joint_power[ids] = 0.0
        self._run(lambda: self.batch.forward(np.unique(ids.numpy()), mujoco.mjtStage.mjSTAGE_VEL))  # where the feet are

    def set_params(self, ids: Tensor, **params: Tensor) -> None:
        refuse_unknown_params(self.capabilities, params)
        if "payload" in params:
            refuse_overload(self.model, self._base, params["payload"])
        for name, value in params.items():
            self.params[name][ids] = value
        self._derive()
        fields = self._model_fields(ids, set(params))
        if fields:
            super().set_params(ids, **fields)

    def _model_fields(self, ids: Tensor, names: set[str]) -> dict[str, Tensor]:
        """What the parameters `names` of worlds `ids` are in MuJoCo's model."""
        fields: dict[str, Tensor] = {}
        if "friction" in names:
            fields["geom_friction"] = torch.from_numpy(self.model.geom_friction).repeat(len(ids), 1, 1)
            fields["geom_friction"][:, self._ground, 0] = self.params["friction"][ids, 0].double()
        if names & {"payload", "com_offset"}:
            mass, inertia, centre = (
                torch.from_numpy(field).repeat(len(ids), *(1,) * field.ndim)
                for field in (self.model.body_mass, self.model.body_inertia, self.model.body_ipos)
            )
            loaded = mass[:, self._base] + self.params["payload"][ids, 0].double()
            inertia[:, self._base] *= (loaded / mass[:, self._base]).unsqueeze(-1)
            mass[:, self._base] = loaded
            centre[:, self._base] += self.params["com_offset"][ids].double()
            fields |= {"body_mass": mass, "body_inertia": inertia, "body_ipos": centre}
        return fields

    def state_dict(self) -> dict[str, Tensor]:
        own = {"target": self.target, "joint_torque": self.joint_torque, "joint_power": self.joint_power}
        return super().state_dict() | own | {f"params.{name}": value for name, value in self.params.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        super().load_state_dict(state)
        self._derive()
        self._run(lambda: self.batch.forward(None, mujoco.mjtStage.mjSTAGE_VEL))


def _columns(addresses: list[int]) -> slice | list[int]:
    """An index of these columns: a slice, which does not copy, where they follow one another."""
    first, last = addresses[0], addresses[-1]
    return slice(first, last + 1) if addresses == list(range(first, last + 1)) else addresses
