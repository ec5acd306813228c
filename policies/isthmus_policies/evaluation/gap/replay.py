"""Recorded commands from recorded states in simulation, beside what the robot did and beside what training drew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isthmus_deploy.flight.recorded import Flight
from isthmus_policies.evaluation.flown_windows import FlownWindows, ReplayError
from isthmus_sim.engine import Params
from isthmus_sim.engines import make_engine
from isthmus_sim.scene import Quantity
from isthmus_sim.task import Task

_LIKELY = 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class Parting:
    """How far one quantity is from the recorded one, over the horizon's ticks (t,), in its unit; for several elements
    the length of the difference, for an orientation the angle."""

    name: str
    unit: str
    middle: np.ndarray
    """The median over windows, simulated with nominal parameters."""
    most: np.ndarray
    """What 95 % of the windows stay below."""
    trained: np.ndarray
    """How far 95 % of the worlds that training draws are from the nominal one."""

    @property
    def share(self) -> float:
        """The median at the end of the horizon beside what training draws; above 1 the robot is outside of it."""
        return float(self.middle[-1] / self.trained[-1]) if self.trained[-1] > 0 else float("inf")


@dataclass(frozen=True, kw_only=True, eq=False)
class Gap:
    """How simulation and robot part."""

    period_s: float
    windows: int
    partings: tuple[Parting, ...]


def measure(flight: Flight, task: Task, engine: str, *, horizon_s: float, draws: int, seed: int) -> Gap:
    """Replay windows of a flight, one after the other, each in the nominal world and in `draws` drawn ones.

    Raises:
        ReplayError: the robot does not measure the state of its simulation, the flight is shorter than a window, or
            training draws nothing.
        UnsupportedError: the engine cannot simulate the task.
    """
    windows = FlownWindows.of((flight,), task, horizon_s)
    params = _params(task, len(windows), draws, seed)
    worlds = make_engine(task.scene, len(windows) * (1 + draws), engine)
    try:
        made = windows.predict(worlds, params, 1 + draws)
    finally:
        worlds.close()
    partings = [
        _parting(quantity, made[quantity.name], windows.measured(quantity.name))
        for quantity in task.scene.quantities
        if quantity.name in windows.recorded
    ]
    return Gap(period_s=task.robot.control_period_s, windows=len(windows), partings=tuple(partings))


def _params(task: Task, windows: int, draws: int, seed: int) -> Params:
    """Nominal parameters for the first world of each window, those of training for its others."""
    generator = torch.Generator().manual_seed(seed)
    result: Params = {}
    for draw in task.randomization:
        for name, values in draw(windows * (1 + draws), generator).items():
            nominal = next(p.nominal for p in task.scene.parameters if p.name == name)
            rows = values.clone().reshape(windows, 1 + draws, -1)
            rows[:, 0] = torch.tensor(nominal)
            result[name] = rows.flatten(0, 1)
    if not result:
        raise ReplayError(f"training of {task.name} draws nothing: there is no spread to stand beside")
    return result


def _parting(quantity: Quantity, made: Tensor, recorded: Tensor) -> Parting:
    apart = _distance(quantity, made[:, :, :1], recorded).squeeze(-1)
    drawn = _distance(quantity, made[:, :, 1:], made[:, :, :1]).flatten(1)
    return Parting(
        name=quantity.name,
        unit="rad" if quantity.kind == "orientation" else quantity.unit,
        middle=apart.median(dim=1).values.numpy(),
        most=apart.quantile(_LIKELY, dim=1).numpy(),
        trained=drawn.quantile(_LIKELY, dim=1).numpy(),
    )


def _distance(quantity: Quantity, a: Tensor, b: Tensor) -> Tensor:
    if quantity.kind == "orientation":
        return 2.0 * (a * b).sum(dim=-1).abs().clamp(max=1.0).acos()
    return (a - b).norm(dim=-1)
