"""What was identified, as a file: parameters with intervals, and the drive that training can randomise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isthmus_sim.identify.files import write
from isthmus_sim.identify.log import Array, LogError, ServoLog
from isthmus_sim.identify.servo import UNKNOWNS
from isthmus_sim.identify.uncertainty import Knowledge, remarks
from isthmus_sim.scene import Scene
from isthmus_sim.task import Draw
from isthmus_sim.terms.randomization import uniform

VERSION = 1
_DRAWS = 2000


@dataclass(frozen=True, kw_only=True)
class Range:
    """A number with its 95 % interval."""

    unit: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Identified:
    """A servo as it was identified."""

    friction: str
    logs: tuple[str, ...]
    error_rad: float
    """Mean absolute error of the simulated positions in these logs."""
    parameters: Mapping[str, Range]
    drive: Mapping[str, Range]
    """The same as `Motor` and `PDMotors` say it, by their names: what the servo is around small errors, at the
    firmware gain and supply of `drive_at`."""
    drive_at: Mapping[str, float]
    remarks: tuple[str, ...]
    """What these logs do not tell."""
    version: int = VERSION

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write(path, self)


def read_identified(path: Path) -> Identified:
    """Read what `Identified.write` wrote. Raises LogError where it is none, or of another version."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["version"] != VERSION:
            raise LogError(f"{path}: has version {document['version']}; this program reads version {VERSION}")
        ranges = {
            field: {name: Range(**item) for name, item in document[field].items()} for field in ("parameters", "drive")
        }
        listed = {field: tuple(document[field]) for field in ("logs", "remarks")}
        return Identified(**{**document, **ranges, **listed})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise error if isinstance(error, LogError) else LogError(f"{path}: not of isthmus-identify: {error}") from error


def identified(known: Knowledge, logs: Sequence[ServoLog], firmware_gain: float | None = None) -> Identified:
    """What these logs tell; the drive at the largest firmware gain among them, unless another is given."""
    gain = max(log.firmware_gain for log in logs) if firmware_gain is None else firmware_gain
    supply = float(np.median([log.supply for log in logs]))
    fit, intervals = known.fit, known.intervals()
    parameters = {
        name: Range(
            unit=UNKNOWNS[name].parameter.unit, value=float(value), low=intervals[name][0], high=intervals[name][1]
        )
        for name, value in zip(fit.names, fit.values, strict=True)
    }
    return Identified(
        friction=fit.friction,
        logs=tuple(log.name for log in logs),
        error_rad=float(np.abs(fit.residual).mean()),
        parameters=parameters,
        drive=_drive(known, gain, supply),
        drive_at={"firmware_gain": gain, "supply": supply},
        remarks=tuple(remarks(known)),
    )


def _drive(known: Knowledge, gain: float, supply: float) -> dict[str, Range]:
    draws = known.draws(_DRAWS, np.random.default_rng(0))
    best, drawn = (as_drive(known.fit.names, rows, gain, supply) for rows in (known.fit.values[None], draws))
    result = {}
    for name, (unit, values) in drawn.items():
        low, high = np.quantile(values, (0.025, 0.975))
        result[name] = Range(unit=unit, value=float(best[name][1][0]), low=float(low), high=float(high))
    return result


def as_drive(names: Sequence[str], rows: Array, gain: float, supply: float) -> dict[str, tuple[str, Array]]:
    """Candidates (n, parameters) as drives: name → unit and values (n,)."""
    p = dict(zip(names, rows.T, strict=True))
    stall = p["torque_constant"] / p["resistance"] * supply
    return {
        "stiffness": ("N·m/rad", stall * gain * p["duty_gain"] * (1.0 + p["duty_curve"])),
        "damping": ("N·m·s/rad", p["torque_constant"] ** 2 / p["resistance"]),
        "saturation_effort": ("N·m", stall),
        "no_load_speed": ("rad/s", supply / p["torque_constant"]),
        "armature": ("kg·m²", p["armature"]),
        "friction": ("N·m", p["coulomb"]),
        "viscous": ("N·m·s/rad", p["viscous"]),
        "command_delay_s": ("s", p["delay"]),
    }


def randomization(scene: Scene, found: Identified) -> tuple[Draw, ...]:
    """Draws of those parameters of a scene that were identified, each evenly within its interval.

    Raises ValueError where the scene has none of them.
    """
    names = [parameter.name for parameter in scene.parameters if parameter.name in found.drive]
    if not names:
        raise ValueError(
            f"{scene.robot.name} has none of the parameters {', '.join(found.drive)}; it has: "
            f"{', '.join(parameter.name for parameter in scene.parameters) or 'none'}"
        )
    return tuple(uniform(scene, name, (found.drive[name].low, found.drive[name].high)) for name in names)
