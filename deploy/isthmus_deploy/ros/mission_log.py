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
class MissionLog:
    """What happened, sample by sample. Times are in s of any one clock; `zero_s` of it is the mission's start.

    truth: (time, columns of TRUTH, what was asked then). asked: names and sizes of that. commands: (time, values in
    their unit). joints: (time, positions in rad) of `joint_names`. events: (time, text).
    """

    asked: dict[str, int]
    zero_s: float = 0.0
    truth: list[tuple[float, ...]] = field(default_factory=list)
    commands: list[tuple[float, ...]] = field(default_factory=list)
    joint_names: tuple[str, ...] = ()
    joints: list[tuple[float, ...]] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)
    diagnostics: list[tuple[float, dict[str, str]]] = field(default_factory=list)

    def arrays(self) -> dict[str, Array]:
        """Everything sampled, by name, as stored in NAME.npz; times are s since the start."""
        columns = {"time": 1, **TRUTH, **self.asked}
        truth = np.array(self.truth, dtype=np.float64).reshape(-1, sum(columns.values()))
        parts = np.split(truth, np.cumsum(list(columns.values()))[:-1], axis=1)
        arrays: dict[str, Array] = dict(zip(columns, parts, strict=True))
        arrays["time"] = arrays["time"][:, 0] - self.zero_s
        arrays["command_time"], arrays["command"] = self._series(self.commands)
        if self.joint_names:
            arrays["joint_name"] = np.array(self.joint_names)
            arrays["joint_time"], arrays["joint_position"] = self._series(self.joints)
        return arrays

    def save(self, folder: Path, name: str, summary: dict[str, Any]) -> None:
        """Write NAME.npz (arrays) and NAME.json (summary, events, diagnostics) into `folder`."""
        arrays = self.arrays()
        write_atomically(
            folder / f"{name}.npz",
            lambda file: np.savez(file, **arrays),  # pyright: ignore[reportArgumentType]
        )
        events = [(round(time - self.zero_s, 3), text) for time, text in self.events]
        diagnostics = [{"time": f"{time - self.zero_s:.3f}", **values} for time, values in self.diagnostics]
        write_json(folder / f"{name}.json", {**summary, "events": events, "diagnostics": diagnostics})

    def _series(self, samples: list[tuple[float, ...]]) -> tuple[Array, Array]:
        values = np.array(samples or np.zeros((0, 1)), dtype=np.float64)
        return values[:, 0] - self.zero_s, values[:, 1:]
