"""The clock of a gait: when each foot of a robot swings, and how far that alone bends its legs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.on_device import Constant
from isthmus_sim.tasks import symmetry
from isthmus_sim.tasks.velocity_config import GaitConfig

_ASKED = 0.05  # m/s and rad/s; below that a robot that rests is not asked to move


class Gait:
    """A phase (n, 1) in cycles, and what follows from it for feet (n, f) and joints (n, j).

    Raises ValueError unless there is a phase for each leg.
    """

    def __init__(self, robot: RobotDescription, config: GaitConfig) -> None:
        if len(config.phases) != len(robot.legs):
            raise ValueError(
                f"gait.phases: {len(config.phases)} phases for the {len(robot.legs)} legs of {robot.name}: "
                f"{', '.join(robot.legs)}"
            )
        self._robot, self._config = robot, config
        self._cycles = config.frequency_hz * robot.control_period_s
        legs = [i for name in robot.joints for i, chain in enumerate(robot.legs.values()) if name in chain]
        self._leg = Constant(torch.tensor(legs))
        self._phases = Constant(torch.tensor(config.phases))
        self._lift = Constant(torch.tensor([first(config.joints, name, 0.0) for name in robot.joints]))

    def next(self, phase: Tensor) -> Tensor:
        """The phase a control step later."""
        return torch.remainder(phase + self._cycles, 1.0)

    @staticmethod
    def clock(phase: Tensor) -> Tensor:
        """(n, 2): the phase without its jump."""
        turn = 2 * math.pi * phase
        return torch.cat((turn.sin(), turn.cos()), dim=-1)

    def swing(self, phase: Tensor, command: Tensor) -> Tensor:
        """(n, f), 0 to 1: how high each foot should be in its swing; 0 where it should stand, as all do without a
        command (n, 3) if the gait rests."""
        swing = torch.sin(-2 * math.pi * (phase + self._phases.to(phase))).clamp_min(0.0)
        if not self._config.rests:
            return swing
        return swing * (command.norm(dim=-1, keepdim=True) > _ASKED).to(phase)

    def joints(self, phase: Tensor, command: Tensor) -> Tensor:
        """(n, j) rad: what the clock alone adds to the joints' targets."""
        swing, stance = self.swing(phase, command), self.swing(phase + 0.5, command)
        step = (self._config.lift * swing - self._config.press * stance)[:, self._leg.on(phase)]
        return step * self._lift.to(phase)

    @property
    def mirrors(self) -> bool:
        """Whether it is its own mirror image: all feet swing with those on the other side, or half a cycle later."""
        return self._shifts() in ({0.0}, {0.5})

    @property
    def clock_sign(self) -> float:
        """The clock's sign in a mirror: feet on opposite sides swing half a cycle apart, or together."""
        return -1.0 if self._shifts() == {0.5} else 1.0

    def _shifts(self) -> set[float]:
        """Cycles from each foot's swing to that of the foot on the other side."""
        phases, others = self._config.phases, symmetry.other_feet(self._robot)
        return {(phases[other] - phases[foot]) % 1.0 for foot, other in enumerate(others)}


def first(by_part: dict[str, float], name: str, otherwise: float) -> float:
    """The value of the first key that is part of `name`."""
    return next((value for part, value in by_part.items() if part in name), otherwise)
