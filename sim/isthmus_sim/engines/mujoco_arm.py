"""The arm at its table in MuJoCo on CPU threads."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import numpy as np
import torch
from torch import Tensor

from isthmus_sim.engine import ArmState, State, refuse_unknown_params
from isthmus_sim.engines.mujoco_batch import MujocoWorlds
from isthmus_sim.robots.so101.description import JOINTS, SPEC
from isthmus_sim.robots.so101.links import TIP
from isthmus_sim.robots.so101.mjcf import CUBE, TOUCH, so101_mjcf
from isthmus_sim.robots.so101.parameters import SIZES, model_fields, nominal
from isthmus_sim.threads import THREADS


class MujocoArm(MujocoWorlds):
    """N arms, each with a cube and a zone. `step` takes the joints' targets (num_envs, 6) rad, held by the servos.

    Parameters per world: see `so101_params.SIZES`.
    """

    capabilities = frozenset(f"params:{name}" for name in SIZES)

    def __init__(self, num_envs: int, *, num_threads: int = THREADS.physics) -> None:
        model = mujoco.MjModel.from_xml_string(so101_mjcf())
        super().__init__(model, num_envs, SPEC.control_period_s, num_threads)
        self.params = nominal(model, num_envs)
        joints = [int(model.joint(name).qposadr[0]) for name in JOINTS]
        assert joints == [int(model.joint(name).dofadr[0]) for name in JOINTS] == list(range(6)), "the arm comes first"
        self._cube, self._cube_speed = int(model.joint(CUBE).qposadr[0]), int(model.joint(CUBE).dofadr[0])
        self._zone = torch.from_numpy(self.batch.bind("mocap_pos"))
        self._sites, self._sensors = self.batch.bind("site_xpos"), self.batch.bind("sensordata")
        self._tip = int(model.site(TIP).id)
        self._touch = [int(model.sensor(name).adr[0]) for name in TOUCH]
        self._fixed = torch.zeros(num_envs, 3)
        self._level = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(num_envs, 1)

    def read(self) -> ArmState:
        cube = self.qpos[:, self._cube : self._cube + 7].float()
        return ArmState(
            position=self._fixed,
            orientation=self._level,
            linear_velocity=self._fixed,
            angular_velocity=self._fixed,
            actuator=self.ctrl.float(),
            joint_position=self.qpos[:, :6].float(),
            joint_velocity=self.qvel[:, :6].float(),
            tip_position=torch.tensor(self._sites[:, self._tip], dtype=torch.float32),
            cube_position=cube[:, :3],
            cube_orientation=cube[:, 3:],
            cube_velocity=self.qvel[:, self._cube_speed : self._cube_speed + 6].float(),
            cube_edge=self.params["cube_edge"],
            zone_position=self._zone[:, 0, :2].float(),
            touching=torch.from_numpy(self._sensors[:, self._touch] > 0).float(),
        )

    def reset(self, ids: Tensor, state: State) -> None:
        assert isinstance(state, ArmState)
        self._clear(ids)
        self.qpos[ids] = torch.cat((state.joint_position, state.cube_position, state.cube_orientation), dim=-1).double()
        self.qvel[ids] = torch.cat((state.joint_velocity, state.cube_velocity), dim=-1).double()
        self.ctrl[ids] = state.actuator.double()
        self._zone[ids, 0, :2] = state.zone_position.double()
        self.batch.forward(np.unique(ids.numpy()))  # where the tip is, and what touches

    def set_params(self, ids: Tensor, **params: Tensor) -> None:
        refuse_unknown_params(self.capabilities, params)
        for name, value in params.items():
            self.params[name][ids] = value
        super().set_params(ids, **model_fields(self.model, {name: value[ids] for name, value in self.params.items()}))

    def state_dict(self) -> dict[str, Tensor]:
        # Model fields follow from the parameters, and are many more.
        live = {name: value for name, value in super().state_dict().items() if not name.startswith("field.")}
        return live | {"zone": self._zone} | {f"params.{name}": value for name, value in self.params.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.set_params(torch.arange(self.num_envs), **{name: state[f"params.{name}"] for name in self.params})
        super().load_state_dict(state)
