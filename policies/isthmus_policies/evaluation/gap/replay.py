"""Recorded commands from recorded states in simulation, beside what the robot did and beside what training drew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isthmus_deploy.flight.recorded import Flight
from isthmus_deploy.safety.supervisor import State as Mode
from isthmus_sim.engine import Commands, Engine, Params, Resets, State
from isthmus_sim.engines import make_engine
from isthmus_sim.rotations import rotation_matrix, to_world
from isthmus_sim.scene import Quantity, Scene
from isthmus_sim.task import Task

_LEAD_S = 1.0
"""Time before each window in which commands are replayed, so that actuators remember them: of rotors that lag by 0.15 s
1 % of what they did before is left after it."""
_LIKELY = 0.95
_SOURCES: Mapping[str, tuple[str, ...]] = {"orientation": ("orientation", "imu_orientation")}


class GapError(ValueError):
    """A flight cannot be replayed in simulation; the message says why."""


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
        GapError: the robot does not measure the state of its simulation, or the flight is shorter than a window.
        UnsupportedError: the engine cannot simulate the task.
    """
    scene, period_s = task.scene, task.robot.control_period_s
    recorded = _recorded(flight, scene)
    lead, length = round(_LEAD_S / period_s), max(1, round(horizon_s / period_s))
    starts = _starts(flight, lead, length)
    worlds = make_engine(scene, len(starts) * (1 + draws), engine)
    try:
        made = _predict(worlds, task, flight, recorded, starts, (lead, length), (draws, seed))
    finally:
        worlds.close()
    partings = [
        _parting(quantity, made[quantity.name], _windows(recorded[quantity.name], starts, length))
        for quantity in scene.quantities
        if quantity.name in recorded
    ]
    return Gap(period_s=period_s, windows=len(starts), partings=tuple(partings))


def _recorded(flight: Flight, scene: Scene) -> dict[str, Tensor]:
    """What the flight says of the quantities that a reset sets: name -> (n, size)."""
    signals = {name: torch.as_tensor(values) for name, values in flight.signals.items()}
    found: dict[str, Tensor] = {}
    for quantity in scene.quantities:
        source = next((name for name in _SOURCES.get(quantity.name, (quantity.name,)) if name in signals), None)
        if quantity.settable and source:
            found[quantity.name] = signals[source]
    if "linear_velocity" in found and "orientation" in found:
        found["linear_velocity"] = to_world(rotation_matrix(found["orientation"]), found["linear_velocity"])
    needed = [quantity.name for quantity in scene.quantities if quantity.settable and quantity.kind != "actuator"]
    missing = [name for name in needed if name not in found]
    if missing:
        raise GapError(
            f"{scene.robot.name} does not measure {', '.join(missing)}: its recorded states cannot be simulated from"
        )
    return found


def _starts(flight: Flight, lead: int, length: int) -> np.ndarray:
    """Ticks at which windows begin: the policy drives from `lead` before them to their end, and no tick is missing."""
    driven = np.array([mode in (Mode.RAMP_IN, Mode.RUNNING) for mode in flight.states])
    driven[1:] &= np.diff(flight.numbers["tick"]) == 1
    good = [at for at in range(lead, len(driven) - length, length) if driven[at - lead : at + length + 1].all()]
    if not good:
        raise GapError(
            f"the policy never drove for {lead + length + 1} ticks in a row: take a longer flight, or a shorter "
            "--horizon"
        )
    return np.array(good)


def _predict(
    engine: Engine, task: Task, flight: Flight, recorded: Mapping[str, Tensor], starts: np.ndarray,
    ticks: tuple[int, int], drawn: tuple[int, int],
) -> dict[str, Tensor]:  # fmt: skip
    """(t, windows, 1 + draws, size) by quantity."""
    (lead, length), (draws, seed) = ticks, drawn
    copies = 1 + draws
    ids = torch.arange(engine.num_envs)
    rows = torch.as_tensor(starts).repeat_interleave(copies)
    sent = {name: torch.as_tensor(values, dtype=torch.float32) for name, values in flight.sent.items()}

    def at(tick: Tensor) -> Commands:
        return {name: values[tick] for name, values in sent.items()}

    def state(tick: Tensor) -> State:
        return {name: values[tick].float() for name, values in recorded.items()}

    engine.advance(None, Resets(ids=ids, state=state(rows - lead), params=_params(task, len(starts), draws, seed)))
    before: State = {}
    for tick in range(-lead, 0):
        before = engine.advance(at(rows + tick))
    remembered = {q.name: before[q.name].clone() for q in task.scene.quantities if q.kind == "actuator"}
    engine.advance(None, Resets(ids=ids, state={**state(rows), **remembered}))
    made: dict[str, list[Tensor]] = {name: [] for name in recorded}
    for tick in range(length):
        after = engine.advance(at(rows + tick))
        for name, values in made.items():
            values.append(after[name].reshape(len(starts), copies, -1).clone())
    return {name: torch.stack(values) for name, values in made.items()}


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
        raise GapError(f"training of {task.name} draws nothing: there is no spread to stand beside")
    return result


def _windows(values: Tensor, starts: np.ndarray, length: int) -> Tensor:
    """(t, windows, 1, size): what was recorded after each of the ticks."""
    ticks = torch.as_tensor(starts)[None] + torch.arange(1, length + 1)[:, None]
    return values.float()[ticks].reshape(length, len(starts), 1, -1)


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
