"""What a stand-in at a task keeps for a report: where everything was, and what the task measured, over time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from isthmus_deploy.ros.files import write_atomically
from isthmus_deploy.ros.stand_in_robot.worlds.world import Array

_KEPT = 2**16  # control periods: more than half an hour at 30 Hz


class TaskRecord:
    """The newest rows, one a control period.

    Args:
        kept: How many; older ones are forgotten.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._rows: deque[dict[str, Array]] = deque(maxlen=kept)

    def add(self, time_s: float, state: Mapping[str, Array], measured: Mapping[str, float]) -> None:
        """A row: when, s of any one clock; quantities of the task's scene; what the task measures of them."""
        numbers = {"time": time_s, **{f"measured/{name}": value for name, value in measured.items()}}
        values: dict[str, Array] = {name: np.array(number) for name, number in numbers.items()}
        self._rows.append(values | {f"state/{name}": value for name, value in state.items()})

    def save(self, path: Path) -> None:
        """Write time (t,), measured/NAME (t,) and state/NAME (t, *shape) as an .npz file."""
        names = list(self._rows[0]) if self._rows else []
        arrays = {name: np.stack([row[name] for row in self._rows]) for name in names}
        write_atomically(path, lambda file: np.savez(file, **arrays))  # pyright: ignore[reportArgumentType]
