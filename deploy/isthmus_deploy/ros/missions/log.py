"""The record of a mission."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_deploy.ros.files import write_atomically, write_json

Array = NDArray[Any]

TRUTH = {"position": 3, "orientation": 4, "linear_velocity": 3, "angular_velocity": 3}
"""Columns of the true state: m world, wxyz world_from_body, m/s body, rad/s body."""


@dataclass(kw_only=True)
class Series:
    """A command or a reading over time: (time, its values in their unit), and what each value is."""

    order: tuple[str, ...]
    samples: list[tuple[float, ...]] = field(default_factory=list)

    def arrays(self, kind: str, name: str, zero_s: float) -> dict[str, Array]:
        """KIND/NAME (t, n), KIND_time/NAME (t,) in s since `zero_s`, and KIND_order/NAME (n,)."""
        values = np.array(self.samples, dtype=np.float64).reshape(-1, 1 + len(self.order))
        return {
            f"{kind}/{name}": values[:, 1:],
            f"{kind}_time/{name}": values[:, 0] - zero_s,
            f"{kind}_order/{name}": np.array(self.order),
        }


@dataclass(kw_only=True)
class MissionLog:
    """What happened, sample by sample. Times are in s of any one clock."""

    asked: dict[str, int]
    """What is asked: names and sizes, in order."""
    zero_s: float = 0.0
    """The mission's start."""
    truth: list[tuple[float, ...]] = field(default_factory=list)
    """(time, columns of TRUTH, what was asked then)."""
    commands: dict[str, Series] = field(default_factory=dict)
    readings: dict[str, Series] = field(default_factory=dict)
    events: list[tuple[float, str]] = field(default_factory=list)
    diagnostics: list[tuple[float, dict[str, str]]] = field(default_factory=list)

    def arrays(self) -> dict[str, Array]:
        """Everything sampled, by name, as stored in NAME.npz; times are s since the start."""
        columns = {"time": 1, **TRUTH, **self.asked}
        truth = np.array(self.truth, dtype=np.float64).reshape(-1, sum(columns.values()))
        parts = np.split(truth, np.cumsum(list(columns.values()))[:-1], axis=1)
        arrays: dict[str, Array] = dict(zip(columns, parts, strict=True))
        arrays["time"] = arrays["time"][:, 0] - self.zero_s
        for kind, group in (("command", self.commands), ("reading", self.readings)):
            for name, series in group.items():
                arrays |= series.arrays(kind, name, self.zero_s)
        return arrays

    def save(self, folder: Path, name: str, summary: dict[str, Any]) -> None:
        """Write NAME.npz (arrays) and NAME.json (summary, zero_s, events, diagnostics) into `folder`."""
        arrays = self.arrays()
        write_atomically(
            folder / f"{name}.npz",
            lambda file: np.savez(file, **arrays),  # pyright: ignore[reportArgumentType]
        )
        events = [(round(time - self.zero_s, 3), text) for time, text in self.events]
        diagnostics = [{"time": f"{time - self.zero_s:.3f}", **values} for time, values in self.diagnostics]
        write_json(
            folder / f"{name}.json", {**summary, "zero_s": self.zero_s, "events": events, "diagnostics": diagnostics}
        )
