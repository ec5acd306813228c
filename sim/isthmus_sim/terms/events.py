"""What happens to robots while they work."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from isthmus_sim.engine import Engine, Params
from isthmus_sim.task import Draw, Event

_GRAVITY = 9.81  # m/s²


class Push(Event):
    """A push on the base in any horizontal direction.

    Args:
        every: Control steps between pushes.
        length: Control steps that one lasts.
        impulse: At most, N·s.
        period_s: Control period, s.

    Raises:
        ValueError: a push lasts no control step, or longer than the time between two.
    """

    def __init__(self, *, every: int, length: int, impulse: float, period_s: float) -> None:
        if not 1 <= length < every:
            raise ValueError(
                f"a push of {length * period_s:g} s every {every * period_s:g} s: it must last a control period of "
                f"{period_s:g} s at least, and be shorter than the time between two"
            )
        self._every, self._length = every, length
        self._force = impulse / (length * period_s)

    def reset(self, engine: Engine, ids: Tensor, params: Params, generator: torch.Generator) -> None:
        force = engine.force.clone()
        force[ids] = 0.0
        engine.apply_wrench(force, engine.torque)

    def step(self, engine: Engine, episode_step: Tensor, generator: torch.Generator) -> None:
        angle, size = torch.rand(2, len(episode_step), generator=generator, device=generator.device).unbind(0)
        angle, size = 2 * math.pi * angle, self._force * size
        drawn = torch.stack((angle.cos() * size, angle.sin() * size, torch.zeros_like(size)), dim=-1)
        turn = (episode_step % self._every).unsqueeze(-1)
        force = torch.where((turn == 0) & (episode_step > 0).unsqueeze(-1), drawn, engine.force)
        engine.apply_wrench(torch.where(turn == self._length, 0.0, force), engine.torque)


class Redraw(Event):
    """Parameters that are drawn anew at every control step rather than for an episode, such as looks: as many images
    of a training then show as many scenes, and an encoder that sees few worlds does not learn these by heart."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def step(self, engine: Engine, episode_step: Tensor, generator: torch.Generator) -> None:
        n = len(episode_step)
        engine.set_params(torch.arange(n, device=episode_step.device), self._draw(n, generator))


class ConstantWrench(Event):
    """A force and a torque on the base for a whole episode, normally distributed.

    Args:
        force: Standard deviation of each component, as a share of the robot's weight.
        torque: The same, as a share of its weight times 1 m.
        mass: kg, of a robot that has no parameter "mass".
    """

    def __init__(self, *, force: float, torque: float, mass: float) -> None:
        self._shares, self._mass = (force, torque), mass

    def reset(self, engine: Engine, ids: Tensor, params: Params, generator: torch.Generator) -> None:
        current = engine.params["mass"][ids] if "mass" in engine.params else self._mass
        weight = _GRAVITY * params.get("mass", current)
        drawn = torch.randn(len(ids), 6, generator=generator, device=ids.device)
        force, torque = engine.force.clone(), engine.torque.clone()
        force[ids] = weight * self._shares[0] * drawn[:, :3]
        torque[ids] = weight * self._shares[1] * drawn[:, 3:]
        engine.apply_wrench(force, torque)
