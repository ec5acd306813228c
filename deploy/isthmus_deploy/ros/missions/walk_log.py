"""What the record of a walk says about how well the robot followed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isthmus_deploy.ros.missions.log import MissionLog
from isthmus_deploy.ros.missions.mission import Phase, Vector
from isthmus_deploy.ros.missions.walk_plan import Leg

ASKED = {"asked_velocity": 3, "reference_position": 3, "reference_heading": 1}
"""What is asked of a walking robot: forward m/s, left m/s and turning rad/s; and where that leads, m and rad, world."""

SETTLE_S = 0.5  # about a step of each leg: a body does not change its speed at once


def following(log: MissionLog, legs: Sequence[Leg], phases: Sequence[Phase]) -> dict[str, dict[str, float]]:
    """How each leg's velocity was followed, once it had settled.

    forward, left, turning: mean velocity; error_mps: mean distance between asked and true horizontal velocity;
    turning_error_radps: mean distance of the rates. `phases` are the legs as they were walked.
    """
    arrays = log.arrays()
    true = velocity(arrays)
    result = {}
    for leg, phase in zip(legs, phases, strict=False):
        part = (arrays["time"] >= phase.start_s + SETTLE_S) & (arrays["time"] < phase.end_s)
        if part.any():
            result[leg.name] = _following(true[part], np.array(leg.velocity))
    return result


def velocity(arrays: dict[str, Vector]) -> Vector:
    """(t, 3): true forward m/s, left m/s and turning rad/s, in the body."""
    return np.concatenate((arrays["linear_velocity"][:, :2], arrays["angular_velocity"][:, 2:]), axis=1)


def _following(true: Vector, asked: Vector) -> dict[str, float]:
    off = true - asked
    forward, left, turning = true.mean(axis=0).tolist()
    return {
        "forward": forward,
        "left": left,
        "turning": turning,
        "error_mps": float(np.linalg.norm(off[:, :2], axis=1).mean()),
        "turning_error_radps": float(np.abs(off[:, 2]).mean()),
    }
