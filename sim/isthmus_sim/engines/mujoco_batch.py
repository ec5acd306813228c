"""MuJoCo on CPU threads: N copies of a model, stepped by `mujoco.batch.Batch`; those with a free base in particular."""

# MuJoCo's names come from its compiled modules, which a type checker cannot see into.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import mujoco.batch
import numpy as np
import torch
from torch import Tensor

from isthmus_sim.engine import State, UnsupportedError
from isthmus_sim.engines.stepping import SPEED_LIMIT, substeps
from isthmus_sim.threads import THREADS

_CONTROL = int(mujoco.mjtState.mjSTATE_CTRL)


class MujocoWorlds:
    """N worlds of one model, whatever it is: all of `Engine` but what its state means. `step` takes the model's
    controls (num_envs, nu).

    `qpos`, `qvel`, `ctrl` and `applied` are live float64 tensors over the simulator's own memory, without a copy: a
    write counts at the next step. Any model field can be given per world with `set_params(ids, body_mass=…)`;
    constants derived from it are recomputed.

    Raises:
        ValueError: the model's time step does not divide the control period.
    """

    capabilities = frozenset(f"params:{name}" for name in mujoco.batch.MODEL_FIELDS)

    def __init__(
        self, model: mujoco.MjModel, num_envs: int, control_period_s: float, num_threads: int = THREADS.physics
    ) -> None:
        self.model = model
        # A diverged world must be seen and counted; MuJoCo's own remedy is to reset it without a word.
        self.model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        self.num_envs = num_envs
        self.device = torch.device("cpu")
        self.num_substeps = substeps(control_period_s, self.model.opt.timestep)
        self.batch = mujoco.batch.Batch(self.model, num_envs, num_threads)
        self.qpos, self.qvel, self.ctrl, self.applied = (
            torch.from_numpy(self.batch.bind(name)) for name in ("qpos", "qvel", "ctrl", "qfrc_applied")
        )
        self._raised = torch.zeros(num_envs, dtype=torch.bool)
        self._expanded: dict[str, Tensor] = {}
        self.params: dict[str, Tensor] = self._expanded
        self.force, self.torque = torch.zeros(num_envs, 3), torch.zeros(num_envs, 3)

    def step(self, command: Tensor) -> None:
        self._advance(command.unsqueeze(1).expand(-1, self.num_substeps, -1))

    def _advance(self, controls: Tensor) -> None:
        """Step once per column of `controls` (num_envs, substeps, nu)."""
        self._raised.zero_()
        try:
            self.batch.rollout(self.num_substeps, controls.double().numpy(), _CONTROL, record=())
        except mujoco.batch.SimulationError as error:
            self._raised[torch.from_numpy(np.asarray(error.ids))] = True

    def _clear(self, ids: Tensor) -> None:
        """Worlds `ids` as the model has them: the first thing that a `reset` does."""
        self.batch.reset(_sorted(ids), stage=mujoco.mjtStage.mjSTAGE_NONE)

    def set_params(self, ids: Tensor, **params: Tensor) -> None:
        unknown = sorted(set(params) - set(mujoco.batch.MODEL_FIELDS))
        if unknown:
            raise UnsupportedError(f"MuJoCo has no model field {', '.join(unknown)}; see mujoco.batch.MODEL_FIELDS")
        for name, value in params.items():
            field = self._field(name)
            field[ids] = value.to(field.dtype).reshape(len(ids), *field.shape[1:])
        self.batch.set_const(_sorted(ids))

    def _field(self, name: str) -> Tensor:
        """Per-world values of a model field, live: (num_envs, ...)."""
        if name not in self._expanded:
            self._expanded[name] = torch.from_numpy(self.batch.expand(name))
        return self._expanded[name]

    def apply_wrench(self, force: Tensor, torque: Tensor) -> None:
        raise UnsupportedError(f"{type(self).__name__} takes no wrench; see its capabilities")

    def failed(self) -> Tensor:
        fast = self.qvel.abs().amax(-1)
        # MuJoCo takes a control that is not a number for zero and goes on.
        numbers = torch.isfinite(self.qpos.sum(-1) + self.ctrl.sum(-1))
        return self._raised | ~(fast < SPEED_LIMIT) | ~numbers

    def state_dict(self) -> dict[str, Tensor]:
        warm_start = torch.from_numpy(self.batch.bind("qacc_warmstart"))
        live = {
            "qpos": self.qpos,
            "qvel": self.qvel,
            "ctrl": self.ctrl,
            "applied": self.applied,
            "warm_start": warm_start,
        }
        return live | {f"field.{name}": value for name, value in self._expanded.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name in (key.removeprefix("field.") for key in state if key.startswith("field.")):
            self._field(name).copy_(state[f"field.{name}"])
        if self._expanded:
            self.batch.set_const()
        for name, live in self.state_dict().items():
            live.copy_(state[name])

    def close(self) -> None:
        del self.batch


class MujocoEngine(MujocoWorlds):
    """N worlds of one model whose first joint is free: the robot's base. `read` converts to float32, once a control
    step.

    Raises:
        ValueError: the model has no free base, or its time step does not divide the control period.
    """

    capabilities = MujocoWorlds.capabilities | {"wrench"}

    def __init__(
        self, model: mujoco.MjModel, num_envs: int, control_period_s: float, num_threads: int = THREADS.physics
    ) -> None:
        if model.njnt == 0 or model.jnt_type[0] != mujoco.mjtJoint.mjJNT_FREE:
            raise ValueError("the model's first joint must be a <freejoint/>: the robot's base")
        super().__init__(model, num_envs, control_period_s, num_threads)
        self._base = int(model.jnt_bodyid[0])

    def read(self) -> State:
        return State(
            position=self.qpos[:, :3].float(),
            orientation=self.qpos[:, 3:7].float(),
            linear_velocity=self.qvel[:, :3].float(),
            angular_velocity=self.qvel[:, 3:6].float(),
            actuator=self.ctrl.float(),
        )

    def reset(self, ids: Tensor, state: State) -> None:
        self._clear(ids)
        self.apply_wrench(self.force, self.torque)  # MuJoCo's reset clears it; here it holds until set again
        self.qpos[ids, :3] = state.position.double()
        self.qpos[ids, 3:7] = state.orientation.double()
        self.qvel[ids, :3] = state.linear_velocity.double()
        self.qvel[ids, 3:6] = state.angular_velocity.double()

    def apply_wrench(self, force: Tensor, torque: Tensor) -> None:
        # The free joint's generalised force is just this: force in the world, torque in the body.
        self.force, self.torque = force, torque
        self.applied[:, :3] = force
        self.applied[:, 3:6] = torque

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        super().load_state_dict(state)
        self.force, self.torque = self.applied[:, :3].float(), self.applied[:, 3:6].float()


def _sorted(ids: Tensor) -> np.ndarray:
    """World numbers as `Batch` takes them: ascending, each once."""
    return np.unique(ids.numpy())
