"""Parts of flights that a simulation can be put into: recorded commands from recorded states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isthmus_deploy.flight.recorded import Flight
from isthmus_deploy.safety.supervisor import State as Mode
from isthmus_sim.engine import Commands, Engine, Params, Resets, State
from isthmus_sim.rotations import rotation_matrix, to_world
from isthmus_sim.scene import Scene
from isthmus_sim.task import Task

LEAD_S = 1.0
"""Time before each window in which commands are replayed, so that actuators remember them: of rotors that lag by 0.15 s
1 % of what they did before is left after it."""
_SOURCES: Mapping[str, tuple[str, ...]] = {"orientation": ("orientation", "imu_orientation")}


class ReplayError(ValueError):
    """A flight cannot be replayed in simulation; the message says why."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FlownWindows:
    """Windows of equal length, one after the other, in which the policy drove all the time and no tick is missing.

    Ticks count through all flights.
    """

    scene: Scene
    recorded: Mapping[str, Tensor]
    """Each quantity that a reset sets: name -> (ticks, size)."""
    sent: Mapping[str, Tensor]
    """name -> (ticks, size), float32."""
    starts: Tensor
    """(windows,) ticks at which they begin."""
    lead: int
    """Ticks before each in which the policy drove, too."""
    length: int
    """Ticks of each."""

    @classmethod
    def of(cls, flights: Sequence[Flight], task: Task, horizon_s: float, margin: int = 0) -> FlownWindows:
        """Windows of `horizon_s`, with `margin` more ticks before each than actuators need.

        Raises:
            ReplayError: the robot does not measure the state of its simulation, or a flight is shorter than a window.
        """
        period_s = task.robot.control_period_s
        lead, length = round(LEAD_S / period_s), max(1, round(horizon_s / period_s))
        states = [_recorded(flight, task.scene) for flight in flights]
        ends = np.cumsum([0, *(len(flight.states) for flight in flights)])
        starts = [
            at + _starts(flight, lead + margin, length) for flight, at in zip(flights, ends[:-1].tolist(), strict=True)
        ]
        return cls(
            scene=task.scene,
            recorded={name: torch.cat([each[name] for each in states]) for name in states[0]},
            sent={
                name: torch.cat([torch.as_tensor(flight.sent[name], dtype=torch.float32) for flight in flights])
                for name in flights[0].sent
            },
            starts=torch.as_tensor(np.concatenate(starts)),
            lead=lead,
            length=length,
        )

    def __len__(self) -> int:
        return len(self.starts)

    def measured(self, name: str) -> Tensor:
        """(ticks, windows, 1, size): a quantity as it was recorded, after each tick of the windows."""
        ticks = self.starts[None] + torch.arange(1, self.length + 1)[:, None]
        return self.recorded[name].float()[ticks].reshape(self.length, len(self), 1, -1)

    def predict(self, engine: Engine, params: Params, copies: int, late: Tensor | None = None) -> dict[str, Tensor]:
        """Simulate each window in `copies` worlds.

        Args:
            engine: Has `copies` worlds for each window, those of one window side by side.
            params: Of these worlds.
            copies: Worlds of each window.
            late: (worlds,) how much later than sent commands show in readings, in control periods; by default not.

        Returns:
            (ticks, windows, copies, size) by quantity.
        """
        rows = self.starts.repeat_interleave(copies)
        ids = torch.arange(engine.num_envs)

        def state(tick: Tensor) -> State:
            return {name: values[tick].float() for name, values in self.recorded.items()}

        engine.advance(None, Resets(ids=ids, state=state(rows - self.lead), params=params))
        before: State = {}
        for tick in range(-self.lead, 0):
            before = engine.advance(self._commands(rows + tick, late))
        remembered = {q.name: before[q.name].clone() for q in self.scene.quantities if q.kind == "actuator"}
        engine.advance(None, Resets(ids=ids, state={**state(rows), **remembered}))
        made: dict[str, list[Tensor]] = {name: [] for name in self.recorded}
        for tick in range(self.length):
            after = engine.advance(self._commands(rows + tick, late))
            for name, values in made.items():
                values.append(after[name].reshape(len(self), copies, -1).clone())
        return {name: torch.stack(values) for name, values in made.items()}

    def _commands(self, tick: Tensor, late: Tensor | None) -> Commands:
        if late is None:
            return {name: values[tick] for name, values in self.sent.items()}
        whole = late.floor()
        newer, share = tick - whole.long(), (late - whole)[:, None]
        # What acts in a control period is then two commands, one after the other: their mean is as good for a body.
        return {name: (1 - share) * values[newer] + share * values[newer - 1] for name, values in self.sent.items()}


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
        raise ReplayError(
            f"{scene.robot.name} does not measure {', '.join(missing)}: its recorded states cannot be simulated from"
        )
    return found


def _starts(flight: Flight, lead: int, length: int) -> np.ndarray:
    """Ticks at which windows begin: the policy drives from `lead` before them to their end, and no tick is missing."""
    driven = np.array([mode in (Mode.RAMP_IN, Mode.RUNNING) for mode in flight.states])
    driven[1:] &= np.diff(flight.numbers["tick"]) == 1
    good = [at for at in range(lead, len(driven) - length, length) if driven[at - lead : at + length + 1].all()]
    if not good:
        raise ReplayError(
            f"the policy never drove for {lead + length + 1} ticks in a row: take a longer flight, or a shorter "
            "--horizon"
        )
    return np.array(good)
