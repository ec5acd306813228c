"""One page of how simulation and robot part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from isthmus_policies.evaluation.gap.replay import Gap


def draw(gap: Gap, title: str, path: Path) -> None:
    """Draw each quantity over the horizon: the robot's distance, and what training draws."""
    columns = min(2, len(gap.partings))
    rows = -(-len(gap.partings) // columns)
    figure = Figure(figsize=(5.5 * columns, 3.0 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for unused in axes.flat[len(gap.partings) :]:
        unused.set_axis_off()
    for axis, parting in zip(axes.flat, gap.partings, strict=False):
        times = gap.period_s * np.arange(1, len(parting.middle) + 1)
        axis.fill_between(times, 0.0, parting.trained, color="C0", alpha=0.2, lw=0, label="95 % of what training draws")
        axis.fill_between(times, parting.middle, parting.most, color="C3", alpha=0.2, lw=0, label="to 95 % of windows")
        axis.plot(times, parting.middle, color="C3", label="robot from simulation, median")
        axis.set_title(f"{parting.name}: {parting.share:.2g} of what training draws", fontsize=9)
        axis.set(xlabel="s after a recorded state", ylabel=parting.unit, ylim=(0.0, None), xlim=(0.0, times[-1]))
    axes.flat[0].legend(fontsize=7)
    figure.suptitle(f"{title}: {gap.windows} windows", fontsize=10)
    figure.savefig(path, dpi=100)
