"""What a motor gives beside its formula, as learnt from logs: a small network, and where it was shown anything.

It is part of a simulation and is exported nowhere. Outside of what its logs showed it is silent, and says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
CELLS = 24
"""How many divide each input, from -1 to 1."""
VERSION = 1
_KNOWN, _UNKNOWN = "#", "."
_MEASURES = ("saturation_effort", "no_load_speed")
_ALIKE = 0.1
"""Share by which a motor may differ."""


class ResidualError(ValueError):
    """A file is no residual; the message says which, and what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Residual:
    """A motor's torque beside `motor_torque`, as a share of its stall torque.

    Its inputs are d, the share of the stall torque that the position error asks for, from -1 to 1, and s, the speed as
    a share of the no-load speed: r = Σ a (tanh(u d + v s + b) - tanh(-u d - v s + b)), which is as strong one way as
    the other. Raises ValueError for rows of another length and a motor without measures.
    """

    units: tuple[tuple[float, float, float, float], ...]
    """Rows of u, v, b and a."""
    known: tuple[str, ...]
    """`CELLS` rows of d by as many columns of s, each from -1 to 1: # where the logs have been, . elsewhere."""
    motor: Mapping[str, float]
    """The motor beside whose formula it is, by the names of `isthmus-identify`'s drive: saturation_effort N·m and
    no_load_speed rad/s at least, which are the measures of d and s."""
    logs: tuple[str, ...]
    """What it was learnt from."""
    version: int = VERSION

    def __post_init__(self) -> None:
        if [len(row) for row in self.known] != [CELLS] * CELLS or set("".join(self.known)) - {_KNOWN, _UNKNOWN}:
            raise ValueError(f"known must be {CELLS} rows of {CELLS} characters, {_KNOWN} or {_UNKNOWN}")
        if any(len(row) != 4 or not np.isfinite(row).all() for row in self.units):
            raise ValueError("units must be rows of four numbers")
        if lacking := [name for name in _MEASURES if not self.motor.get(name, 0.0) > 0.0]:
            raise ValueError(f"motor must have a positive {lacking[0]}")

    def check_motor(self, joint: str, saturation_effort: float, no_load_speed: float) -> None:
        """Raise ValueError for a joint whose motor is another one than it was learnt beside."""
        for name, here in zip(_MEASURES, (saturation_effort, no_load_speed), strict=True):
            there = self.motor[name]
            if abs(here - there) > _ALIKE * there:
                raise ValueError(
                    f"{joint}: its residual was learnt beside a motor whose {name} is {there:.4g}, and here it is "
                    f"{here:.4g}; give the joint the motor that was identified with it"
                )

    @property
    def grid(self) -> Array:
        """(CELLS, CELLS): 1 where it is known, else 0."""
        return np.array([[float(cell == _KNOWN) for cell in row] for row in self.known])

    def write(self, path: Path) -> None:
        """Write it as JSON beside the name, then under it."""
        beside = path.with_name(path.name + ".part")
        beside.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        beside.replace(path)


def read_residual(path: Path) -> Residual:
    """Read what `Residual.write` wrote. Raises ResidualError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["version"] != VERSION:
            raise ResidualError(f"{path}: has version {document['version']}; this program reads version {VERSION}")
        units = tuple((float(u), float(v), float(b), float(a)) for u, v, b, a in document["units"])
        listed = {field: tuple(document[field]) for field in ("known", "logs")}
        return Residual(**{**document, **listed, "units": units})
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ResidualError):
            raise
        raise ResidualError(f"{path}: is no residual: {error}") from error


def network(units: Any, asked: Array, speed: Array) -> Array:
    """r of inputs of one shape. units (..., k, 4): where there are leading axes, they are those of the inputs."""
    u, v, b, a = np.moveaxis(np.asarray(units), -1, 0)
    drive = u * asked[..., None] + v * speed[..., None]
    return (a * (np.tanh(drive + b) + np.tanh(drive - b))).sum(-1)


def familiar(grid: Array, asked: Array, speed: Array) -> Array:
    """How much of a `grid`'s neighbourhood is known, from 0 to 1, between the middles of its cells on straight lines;
    0 beyond -1 and 1, and of what is no number."""
    inside = (np.abs(asked) <= 1.0) & (np.abs(speed) <= 1.0)
    rows, row_share = _place(np.where(inside, asked, 0.0))
    columns, column_share = _place(np.where(inside, speed, 0.0))
    corners = [grid[rows + i, columns + j] for i in (0, 1) for j in (0, 1)]
    near, far = (corners[k] * (1 - column_share) + corners[k + 1] * column_share for k in (0, 2))
    return inside * (near * (1 - row_share) + far * row_share)


def _place(value: Array) -> tuple[NDArray[np.int64], Array]:
    """The cell whose middle is below, and how far it is to the next one's."""
    at = np.clip((value + 1.0) / 2.0 * CELLS - 0.5, 0.0, CELLS - 1.0)
    below = np.minimum(at.astype(int), CELLS - 2)
    return below, at - below


def known_cells(asked: Array, speed: Array, least: int) -> tuple[str, ...]:
    """Where `least` readings (n,) and more have been, in either direction."""
    edges = np.linspace(-1.0, 1.0, CELLS + 1)
    count = np.histogram2d(asked, speed, bins=(edges, edges))[0]
    known: Sequence[Sequence[bool]] = ((count + count[::-1, ::-1]) >= least).tolist()
    return tuple("".join(_KNOWN if cell else _UNKNOWN for cell in row) for row in known)
