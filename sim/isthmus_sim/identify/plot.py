"""A picture of logs beside their simulation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from isthmus_sim.identify.log import LogError, ServoLog
from isthmus_sim.identify.servo import Bench
from isthmus_sim.identify.uncertainty import Knowledge, band

_COLUMNS = 4


def draw(known: Knowledge, logs: Sequence[ServoLog], learnt: Collection[str], path: Path) -> None:
    """Draw goal, measured position and predicted band of each log. Raises LogError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise LogError("a plot needs matplotlib: pip install 'isthmus[data]'") from error
    bench = Bench(logs, known.fit.friction)
    predicted, half = band(known, bench)
    rows = -(-len(logs) // _COLUMNS)
    figure = Figure(figsize=(4.2 * _COLUMNS, 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False)
    for unused in axes.flat[len(logs) :]:
        unused.set_axis_off()
    parts = zip(axes.flat, logs, bench.split(predicted), bench.split(half), strict=False)
    for axis, log, middle, reach in parts:
        error = 1e3 * np.abs(middle - log.position).mean()
        axis.plot(log.time_s, log.goal, color="0.75", lw=1, label="goal")
        axis.fill_between(log.time_s, middle - reach, middle + reach, color="C0", alpha=0.25, lw=0, label="95 % band")
        axis.plot(log.time_s, middle, color="C0", lw=1, label="simulated")
        axis.plot(log.time_s, log.position, color="C3", lw=1, label="measured")
        said = "" if log.name in learnt else ", held out"
        axis.set_title(f"{log.name}: gain {log.firmware_gain:g}, {error:.0f} mrad{said}", fontsize=8)
        axis.set(xlabel="s", ylabel="rad", ylim=(-2.0, 2.0))
    axes.flat[0].legend(fontsize=7)
    figure.savefig(path, dpi=90)
