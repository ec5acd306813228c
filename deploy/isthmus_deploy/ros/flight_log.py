"""The record of a flight, and what it says about how well it was flown."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_deploy.ros.files import write_atomically, write_json
from isthmus_deploy.ros.flight_plan import FlightPlan


@dataclass(kw_only=True)
class FlightLog:
    """What was flown, sample by sample; times in s since the reference began to move.

    truth: (time, position 3 m world, orientation 4 wxyz, linear velocity 3 m/s body, angular velocity 3 rad/s body,
    reference position 3 m, reference velocity 3 m/s). commands: (time, values in their unit). events: (time, text).
    """

    truth: list[tuple[float, ...]] = field(default_factory=list)
    commands: list[tuple[float, ...]] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)
    diagnostics: list[dict[str, str]] = field(default_factory=list)

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """The columns of `truth` and `commands` by name, as stored in flight.npz."""
        truth = np.array(self.truth, dtype=np.float64).reshape(-1, 20)
        commands = np.array(self.commands or np.zeros((0, 1)), dtype=np.float64)
        return {
            "time": truth[:, 0],
            "position": truth[:, 1:4],
            "orientation": truth[:, 4:8],
            "linear_velocity": truth[:, 8:11],
            "angular_velocity": truth[:, 11:14],
            "reference_position": truth[:, 14:17],
            "reference_velocity": truth[:, 17:20],
            "command_time": commands[:, 0],
            "command": commands[:, 1:],
        }

    def save(self, folder: Path, summary: dict[str, Any]) -> None:
        """Write flight.npz (arrays) and flight.json (summary, events, diagnostics) into `folder`."""
        arrays = self.arrays()
        write_atomically(
            folder / "flight.npz",
            lambda file: np.savez(file, **arrays),  # pyright: ignore[reportArgumentType]
        )
        write_json(folder / "flight.json", {**summary, "events": self.events, "diagnostics": self.diagnostics})


def tracking(log: FlightLog, plan: FlightPlan, *, settle_s: float) -> dict[str, dict[str, float]]:
    """Distance between truth and reference in each phase, m: rmse, rmse_xy, mean and max.

    The first `settle_s` seconds of the hover do not count: the take-off's overshoot is not the hover's.
    """
    arrays = log.arrays()
    time, error = arrays["time"], arrays["position"] - arrays["reference_position"]
    result = {}
    for phase in plan.phases:
        start = phase.start_s + (settle_s if phase.name == "hover" else 0.0)
        part = error[(time >= start) & (time < phase.end_s)]
        if len(part):
            result[phase.name] = _distances(part)
    return result


def _distances(error: NDArray[np.float64]) -> dict[str, float]:
    squared = np.square(error)
    distance = np.sqrt(squared.sum(axis=1))
    return {
        "rmse": float(np.sqrt(squared.sum(axis=1).mean())),
        "rmse_xy": float(np.sqrt(squared[:, :2].sum(axis=1).mean())),
        "mean": float(distance.mean()),
        "max": float(distance.max()),
    }
