"""How far simulations with other parameters are from what was flown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus_policies.evaluation.flown_windows import FlownWindows
from isthmus_sim.engines import make_engine
from isthmus_sim.scene import Quantity
from isthmus_sim.specs import Parameter
from isthmus_sim.task import Task

Array = NDArray[np.float64]

LATENCY = "latency"
MOST_LATE = 3
"""Control periods by which readings may be later than commands at most."""
_BEYOND = 0.5
"""Share of what is found among real units by which one may lie outside of that."""
_LEAST = 0.2
"""Share of the least real one below which nothing positive is looked for: a mass stays one."""
_NEVER = 1e6  # in place of what is not finite, where a simulation diverges


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """One number to be identified: an element of a parameter, or the time from a command to the reading that shows it.

    Before anything was flown, it may be anywhere between `low` and `high`.
    """

    name: str
    parameter: str
    unit: str
    nominal: float
    low: float
    high: float

    @property
    def deviation(self) -> float:
        """Standard deviation of what is known before: that of an even distribution."""
        return (self.high - self.low) / np.sqrt(12.0)


def unknowns_of(parameters: Sequence[Parameter], period_s: float) -> list[Unknown]:
    """Every element of the parameters that differs from unit to unit, and the latency."""
    found = [unknown for parameter in parameters for unknown in _elements(parameter)]
    latest_s = MOST_LATE * period_s
    late = Unknown(name=LATENCY, parameter=LATENCY, unit="s", nominal=0.5 * period_s, low=0.0, high=latest_s)
    return [*found, late]


def _elements(parameter: Parameter) -> list[Unknown]:
    least, most = parameter.valid
    result = []
    for element, nominal, low, high in zip(
        parameter.order, parameter.nominal, parameter.minimum, parameter.maximum, strict=True
    ):
        if low == high:
            continue
        beyond = _BEYOND * (high - low)
        name = parameter.name if parameter.size == 1 else f"{parameter.name}.{element}"
        low, high = max(low - beyond, least, _LEAST * low if low > 0 else least), min(high + beyond, most)
        result.append(
            Unknown(name=name, parameter=parameter.name, unit=parameter.unit, nominal=nominal, low=low, high=high)
        )
    return result


class Replayed:
    """The windows, simulated with candidates for the unknowns.

    Args:
        windows: Of the flights.
        task: Whose scene is simulated.
        engine: Name of the engine.
        unknowns: What candidates give, in their order; the last one is the latency.
    """

    def __init__(self, windows: FlownWindows, task: Task, engine: str, unknowns: Sequence[Unknown]) -> None:
        self._windows, self._task, self._engine = windows, task, engine
        self.unknowns = unknowns
        self.quantities = [item for item in task.scene.quantities if item.name in windows.recorded]
        """What is compared."""
        self.elements = [f"{item.name} {axis}" for item in self.quantities for axis in "xyz"]
        """What each number of a difference is of."""

    def __call__(self, candidates: Array) -> Array:
        """Candidates (n, unknowns) -> (n, windows, ticks, elements): simulated less recorded, in each one's unit; an
        orientation as the vector of the turn, rad."""
        n, count = len(candidates), len(self._windows)
        rows = torch.as_tensor(np.tile(candidates, (count, 1)), dtype=torch.float32)
        places: dict[str, list[int]] = {}
        for place, unknown in enumerate(self.unknowns):
            places.setdefault(unknown.parameter, []).append(place)
        late = rows[:, places.pop(LATENCY)[0]] / self._task.robot.control_period_s
        params = {name: rows[:, columns] for name, columns in places.items()}
        engine = make_engine(self._task.scene, n * count, self._engine)
        try:
            made = self._windows.predict(engine, params, n, late)
        finally:
            engine.close()
        apart = [_difference(item, made[item.name], self._windows.measured(item.name)) for item in self.quantities]
        result = torch.cat(apart, dim=-1).permute(2, 1, 0, 3).double().numpy()
        return np.where(np.isfinite(result), result, _NEVER)


def _difference(quantity: Quantity, a: Tensor, b: Tensor) -> Tensor:
    """(..., 3)."""
    if quantity.kind != "orientation":
        return a - b
    # The vector part of b⁻¹·a, twice: the turn from b to a in b's own axes, for small ones.
    w, v = a[..., :1], a[..., 1:]
    bw, bv = b[..., :1], b[..., 1:]
    turn = 2.0 * (bw * v - w * bv - torch.linalg.cross(bv.expand_as(v), v))
    return turn * torch.sign((a * b).sum(dim=-1, keepdim=True))
