"""Push-T in MuJoCo on CPU threads."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import torch
from torch import Tensor

from isthmus_sim.engine import BlockState, State
from isthmus_sim.engines.mujoco_batch import MujocoWorlds
from isthmus_sim.robots.pusher.description import BLOCK_CENTRE, PIXEL, SPEC, to_metres
from isthmus_sim.robots.pusher.mjcf import AGENT_JOINTS, BLOCK_JOINTS, pusher_mjcf
from isthmus_sim.threads import THREADS


class MujocoPushT(MujocoWorlds):
    """N tables, each with a disc and a T. `step` takes where the discs are told to go, (num_envs, 2) px.

    In its state the robot is the disc; what its actuator remembers is its target (n, 2) m, world.
    """

    def __init__(self, num_envs: int, *, num_threads: int = THREADS.physics) -> None:
        model = mujoco.MjModel.from_xml_string(pusher_mjcf())
        super().__init__(model, num_envs, SPEC.control_period_s, num_threads)
        self._agent, (*self._centre, self._turn) = (
            [int(self.model.joint(name).qposadr[0]) for name in names] for names in (AGENT_JOINTS, BLOCK_JOINTS)
        )
        self._level = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(num_envs, 1)

    def read(self) -> BlockState:
        agent, velocity, angle = self.qpos[:, self._agent], self.qvel[:, self._agent], self.qpos[:, [self._turn]]
        beside = torch.zeros(self.num_envs, 1)
        return BlockState(
            position=torch.cat((agent.float(), beside), dim=-1),
            orientation=self._level,
            linear_velocity=torch.cat((velocity.float(), beside), dim=-1),
            angular_velocity=beside.expand(-1, 3),
            actuator=self.ctrl.float(),
            block_position=(self.qpos[:, self._centre] - _centre_of_mass(angle)).float(),
            block_angle=angle.float(),
        )

    def step(self, command: Tensor) -> None:
        super().step(to_metres(command.double()))

    def reset(self, ids: Tensor, state: State) -> None:
        assert isinstance(state, BlockState)
        self._clear(ids)
        angle = state.block_angle.double()
        places = torch.empty(len(ids), self.qpos.shape[1], dtype=torch.float64)
        places[:, self._agent] = state.position[:, :2].double()
        places[:, self._centre] = state.block_position.double() + _centre_of_mass(angle)
        places[:, [self._turn]] = angle
        velocities = torch.zeros_like(places)
        velocities[:, self._agent] = state.linear_velocity[:, :2].double()
        self.qpos[ids], self.qvel[ids] = places, velocities
        self.ctrl[ids] = state.actuator.double()


def _centre_of_mass(angle: Tensor) -> Tensor:
    """(n, 2) m: from the block's origin to its centre of mass, turned by `angle` (n, 1) rad; y is up."""
    return BLOCK_CENTRE * PIXEL * torch.cat((angle.sin(), -angle.cos()), dim=-1)
