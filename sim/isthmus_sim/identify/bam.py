"""Logs of Rhoban's testbench for servos (github.com/Rhoban/bam): JSON with one entry a reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from isthmus_sim.identify.log import LogError, ServoLog

_FACTS = ("mass", "length", "kp", "vin", "motor")
_COLUMNS = ("timestamp", "goal_position", "position", "torque_enable")
FULL_DUTY = {"xl330": 885.0}
"""What the servo calls a duty of 1: ROBOTIS e-Manual of the XL330, PWM Limit."""


def read_bam(path: Path) -> ServoLog:
    """Read a log. Raises LogError where it is none, or is of a servo that is not known here."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LogError(f"{path.name}: cannot be read as JSON: {error}") from error
    missing = [name for name in (*_FACTS, "entries") if not isinstance(document, dict) or name not in document]
    if missing:
        raise LogError(f"{path.name}: is no log of the BAM testbench: it lacks {', '.join(missing)}")
    motor, entries = document["motor"], document["entries"]
    if motor not in FULL_DUTY:
        raise LogError(f"{path.name}: is of the servo {motor!r}; known are {', '.join(FULL_DUTY)}")
    columns = {name: _column(path, entries, name) for name in _COLUMNS}
    duty = _column(path, entries, "load") if all("load" in entry for entry in entries) else None
    return ServoLog(
        name=path.stem,
        time_s=columns["timestamp"] - columns["timestamp"][0],
        goal=columns["goal_position"],
        position=columns["position"],
        powered=columns["torque_enable"] > 0.5,
        firmware_gain=document["kp"],
        mass=document["mass"],
        length=document["length"],
        supply=document["vin"],
        duty=None if duty is None else _signed(duty) / FULL_DUTY[motor],
    )


def _column(path: Path, entries: list[dict[str, Any]], name: str) -> np.ndarray:
    lacking = [number for number, entry in enumerate(entries) if name not in entry]
    if lacking or not entries:
        known = ", ".join(entries[0]) if entries else "none"
        raise LogError(f"{path.name}: entry {lacking[0] if lacking else 0} has no {name!r}; the first one has: {known}")
    return np.array([entry[name] for entry in entries], dtype=float)


def _signed(words: np.ndarray) -> np.ndarray:
    """The servo's 16-bit two's complement, which the testbench writes without a sign."""
    return np.where(words >= 2**15, words - 2**16, words)
