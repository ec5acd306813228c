"""What the record of a flight says about how well it was flown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isthmus_deploy.ros.missions.flight_plan import FlightPlan
from isthmus_deploy.ros.missions.log import MissionLog

ASKED = {"reference_position": 3, "reference_velocity": 3}
"""What is asked of a robot that flies, m and m/s, world."""


def tracking(log: MissionLog, plan: FlightPlan, *, settle_s: float) -> dict[str, dict[str, float]]:
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
