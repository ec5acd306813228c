"""Joints under PD control in MuJoCo Warp: what `drive_joints` reads and writes, torch's and Warp's at once."""

# Warp is optional: a type checker may not find it. MuJoCo's names come from compiled modules.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import torch
import warp as wp
from torch import Tensor

from isthmus_sim.actuators import PDMotors
from isthmus_sim.engine import Params
from isthmus_sim.engines.warp_motors import drive_joints


class WarpMotors:
    """The joints of one `PDMotors` in n worlds. `params`: the engine's parameters, live.

    What is launched may be part of a graph: no tensor here is ever replaced.
    """

    def __init__(self, actuator: PDMotors, model: mujoco.MjModel, params: Params, num_substeps: int) -> None:
        self.command, self.joints = actuator.command, tuple(actuator.joints)
        found = [(model.joint(name), model.actuator(name)) for name in self.joints]
        columns = [[int(j.qposadr[0]), int(j.dofadr[0]), int(u.id)] for j, u in found]
        self._columns = wp.array(np.array(columns).T, dtype=int)
        motors = [actuator.motors[name] for name in self.joints]
        limits = [(m.effort_limit, m.saturation_effort, m.no_load_speed, m.friction) for m in motors]
        self._motors = wp.array(np.array(limits).T, dtype=float)
        self._gains = [params[actuator.prefix + name] for name in ("stiffness", "damping", "strength")]
        self._delay_s = params[f"{actuator.prefix}command_delay_s"]
        self._timestep, self._num_substeps = model.opt.timestep, num_substeps
        device = self._delay_s.device
        default = [joint.default_position for joint in actuator.joints.values()]
        self._default = torch.tensor(default, device=device)
        target = self._default.repeat(len(self._delay_s), 1)
        self.memory = {
            "target": target,
            "joint_torque": torch.zeros_like(target),
            "joint_power": torch.zeros_like(target),
        }
        self.remembered: Tensor | None = target
        self._command = torch.zeros_like(target)
        self._delay = torch.zeros(len(target), device=device)

    def derive(self, ids: Tensor) -> None:
        """Take over parameters of worlds `ids` that have changed."""
        self._delay[ids] = (self._delay_s[ids] / self._timestep).round().squeeze(-1)

    def begin(self, command: Tensor) -> None:
        """Start a control period with `command` (n, j) held."""
        self._command.copy_(command)

    def launch(self, step: int, data: Any) -> None:
        """Write the controls of one physics step of the period into Warp's `data`."""
        target, torque, power = (wp.from_torch(value) for value in self.memory.values())
        wp.launch(
            drive_joints,
            dim=self._command.shape,
            inputs=[
                step, self._num_substeps, wp.from_torch(self._delay), target, wp.from_torch(self._command),
                self._columns, data.qpos, data.qvel, *(wp.from_torch(gain) for gain in self._gains), self._motors,
            ],
            outputs=[data.ctrl, torque, power],
        )  # fmt: skip

    def launch_end(self) -> None:
        """The control period is over."""
        wp.copy(wp.from_torch(self.memory["target"]), wp.from_torch(self._command))

    def reset(self, ids: Tensor) -> None:
        """Forget what was in worlds `ids`."""
        self.memory["target"][ids] = self._default
        self.memory["joint_torque"][ids] = 0.0
        self.memory["joint_power"][ids] = 0.0
