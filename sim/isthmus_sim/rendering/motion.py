"""Recorded movements of a scene, as named quantities over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus_sim.engine import State

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Motion:
    """A recorded movement of t samples.

    time (t,) s, increasing; state: quantities of the scene by name, (t, *shape) each; reference (t, 3) m, world, where
    the robot's base should be, or None when nobody said.
    """

    time: Vector
    state: Mapping[str, Vector]
    reference: Vector | None = None

    @classmethod
    def of_states(cls, time: Vector, states: Sequence[State], reference: Vector | None = None) -> Motion:
        """The movement of the first world through t states."""
        samples = {name: [state[name][0] for state in states] for name in states[0]}
        rows = {name: np.stack([row.double().cpu().numpy() for row in values]) for name, values in samples.items()}
        return cls(time=time, state=rows, reference=reference)

    def at(self, time: Vector) -> Motion:
        """The movement at other times, linear between samples."""
        return Motion(
            time=time,
            state={name: _interpolate(time, self.time, rows) for name, rows in self.state.items()},
            reference=None if self.reference is None else _interpolate(time, self.time, self.reference),
        )

    def at_rate(self, fps: int) -> Motion:
        """The movement at `fps` samples per second."""
        duration = self.time[-1] - self.time[0]
        return self.at(self.time[0] + np.arange(max(1, round(duration * fps))) / fps)


def _interpolate(x: Vector, known_x: Vector, known: Vector) -> Vector:
    columns = known.reshape(len(known_x), -1).T
    return np.stack([np.interp(x, known_x, column) for column in columns], axis=1).reshape(len(x), *known.shape[1:])
