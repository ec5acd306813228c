"""Logs as text: CSV with the columns below, and before them what the testbench was, one `# name: number` a line.

    # firmware_gain: 800
    # mass: 0.49
    # length: 0.1
    # supply: 7.4
    time_s,goal,position,powered,duty
    0.000,0.00,0.0015,1,0.00
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from isthmus_sim.identify.log import LogError, ServoLog

_FACTS = ("firmware_gain", "mass", "length", "supply")
_NEEDED, _OPTIONAL = ("time_s", "goal", "position"), ("powered", "duty")


def read_csv(path: Path) -> ServoLog:
    """Read a log; without `powered` the motor was always on. Raises LogError for other columns or missing facts."""
    lines = path.read_text(encoding="utf-8").splitlines()
    heads = [line[1:].partition(":") for line in lines if line.startswith("#")]
    told = {name.strip(): text.strip() for name, _, text in heads}
    missing = [name for name in _FACTS if name not in told]
    if missing:
        raise LogError(f"{path.name}: says no {', '.join(missing)}; begin it with lines such as '# {missing[0]}: 1.0'")
    rows = list(csv.reader(line for line in lines if line.strip() and not line.startswith("#")))
    names = [name.strip() for name in rows[0]] if rows else []
    wrong = [name for name in names if name not in (*_NEEDED, *_OPTIONAL)]
    lacking = [name for name in _NEEDED if name not in names]
    if wrong or lacking:
        raise LogError(
            f"{path.name}: has the columns {', '.join(names) or 'none'}; one servo's log needs {', '.join(_NEEDED)} "
            f"and may have {', '.join(_OPTIONAL)}"
        )
    try:
        values = dict(zip(names, np.array(rows[1:], dtype=float).T, strict=True))
        gain, mass, length, supply = (float(told[name]) for name in _FACTS)
    except ValueError as error:
        raise LogError(f"{path.name}: {error}") from error
    powered = values.pop("powered", np.ones_like(values["time_s"])) > 0.5
    return ServoLog(
        name=path.stem, powered=powered, firmware_gain=gain, mass=mass, length=length, supply=supply, **values
    )  # fmt: skip
