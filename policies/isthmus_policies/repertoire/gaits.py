"""Gaits without feedback: every joint swings around the default pose, with an amplitude and a phase of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Commands, Resets
from isthmus_sim.engines import make_engine
from isthmus_sim.rotations import rotation_matrix
from isthmus_sim.scene import legged_scene

TOUCHES_N = 1.0
"""A foot that presses more than that stands."""


@dataclass(frozen=True, kw_only=True)
class GaitConfig:
    """What a gait can be, and how long it is tried."""

    frequency_hz: float = 2.0
    amplitude: float = 0.4
    """Largest amplitude of a joint, rad."""
    seconds: float = 3.0
    ramp_s: float = 0.5
    """Time in which the amplitude grows from nothing."""
    tilt_limit: float = math.radians(60)
    lowest: float = 0.36
    """It has fallen when it tilts further than that, or its base is lower than this share of its height in "stand"."""


class Gaits:
    """Tries gaits of a robot with legs, side by side in MuJoCo on flat ground, with nominal parameters.

    A gait is (2 j,) numbers in [0, 1] for j joints: the amplitudes, in shares of the largest, then the phases in
    cycles. Its quality is how far forward the base came, m; nan where it fell. It is described by the share of the time
    that each foot stood (Cully et al. 2015, "Robots that can adapt like animals", Nature 521).

    Args:
        robot: With legs, and position targets for its joints as its only command.
        config: What a gait can be.
        worlds: That are simulated side by side.
    """

    def __init__(self, robot: RobotDescription, config: GaitConfig, worlds: int = 128) -> None:
        self.robot, self.config, self.size = robot, config, 2 * len(robot.joints)
        self._engine = make_engine(legged_scene(robot), worlds, "mujoco")
        self._nominal = {name: value.clone() for name, value in self._engine.params.items()}
        self._default = torch.tensor(robot.default_pose)
        (self._command,) = robot.commands

    def evaluate(self, gaits: Tensor, strength: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Share of the time that each foot stood (n, feet), and metres forward (n,).

        Args:
            gaits: (n, 2 j).
            strength: (n, j), the share of each motor's torque that arrives; None for all of it.
        """
        strength = torch.ones(len(gaits), len(self._default)) if strength is None else strength
        tried = [
            self._try(some, share)
            for some, share in zip(
                gaits.split(self._engine.num_envs), strength.split(self._engine.num_envs), strict=True
            )
        ]
        stood, forward = (torch.cat(each) for each in zip(*tried, strict=True))
        return stood, forward

    def _try(self, gaits: Tensor, strength: Tensor) -> tuple[Tensor, Tensor]:
        """Try no more gaits than there are worlds, as `evaluate` does; the other worlds repeat the last one."""
        n, worlds, robot = len(gaits), self._engine.num_envs, self.robot
        rows = torch.arange(worlds).clamp_max(n - 1)
        state = self._engine.advance(None, self._start(strength[rows]))
        begun, fallen = state["position"][:, 0].clone(), torch.zeros(worlds, dtype=torch.bool)
        steps = round(self.config.seconds / robot.control_period_s)
        stood = torch.zeros(worlds, len(robot.legs))
        for step in range(steps):
            state = self._engine.advance(self._targets(gaits[rows], step * robot.control_period_s))
            stood += state["foot_force"] > TOUCHES_N
            fallen |= self._has_fallen(state) | self._engine.failed()
        forward = torch.where(fallen, math.nan, state["position"][:, 0] - begun)
        return (stood / steps)[:n], forward[:n]

    def _start(self, strength: Tensor) -> Resets:
        """Every world in the pose "stand" with nominal parameters but for the motors."""
        worlds = self._engine.num_envs
        place = torch.zeros(worlds, 3)
        place[:, 2] = self.robot.stances["stand"].height
        state = {"position": place, "joint_position": self._default.repeat(worlds, 1)}
        return Resets(ids=torch.arange(worlds), state=state, params=self._nominal | {"strength": strength})

    def _targets(self, gaits: Tensor, time_s: float) -> Commands:
        """(n, j) rad at a time, within the command's range."""
        amplitude, phase = gaits.chunk(2, dim=-1)
        grown = self.config.amplitude * min(1.0, time_s / self.config.ramp_s)
        swing = torch.sin(2 * math.pi * (self.config.frequency_hz * time_s + phase))
        low, high = torch.tensor(self._command.minimum), torch.tensor(self._command.maximum)
        return {self._command.name: (self._default + grown * amplitude * swing).clamp(low, high)}

    def _has_fallen(self, state: dict[str, Tensor]) -> Tensor:
        upright = rotation_matrix(state["orientation"])[:, 8]
        lowest = self.config.lowest * self.robot.stances["stand"].height
        return (upright < math.cos(self.config.tilt_limit)) | (state["position"][:, 2] < lowest)
