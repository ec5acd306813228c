"""The plots of a flight."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from isthmus_policies.demo.report import plots
from isthmus_policies.demo.report.plots import Phase, Vector


def path(time: Vector, position: Vector, reference: Vector, phases: Sequence[Phase]) -> str:
    """Flown path and reference from above, and height over time. Positions (t, 3) m, world."""

    def draw(figure: Figure) -> None:
        above, height = figure.subplots(1, 2, width_ratios=(1.25, 1))
        above.plot(*reference[:, :2].T, color=plots.REFERENCE, linewidth=1.3, label="reference")
        above.plot(*position[:, :2].T, color=plots.FLOWN, label="flown")
        above.plot(*position[0, :2], "o", color=plots.INK, markersize=4)
        above.annotate(
            "take-off", position[0, :2], (6, -11), textcoords="offset points", color=plots.MUTED, fontsize=8.5
        )
        above.update_datalim(position[0, :2] + np.array(((-0.25, -0.25), (0.25, 0.25))))  # no microscope
        above.set_aspect("equal", adjustable="datalim")
        above.set(title="From above", xlabel="x, m", ylabel="y, m")
        above.legend(loc="upper right", ncols=2, bbox_to_anchor=(1.0, 1.13), borderaxespad=0)
        plots.shade_phases(height, phases, time[-1], names=False)
        height.plot(time, reference[:, 2], color=plots.REFERENCE, linewidth=1.3)
        height.plot(time, position[:, 2], color=plots.FLOWN)
        height.set(title="Height", xlabel="time, s", ylabel="z, m", ylim=(min(0.0, reference[:, 2].min()), None))

    return plots.svg("path", draw, (10.4, 3.9))


def tracking(time: Vector, error: Vector, phases: Sequence[Phase], rms: dict[str, float]) -> str:
    """Distance from the reference (t,) m over time; phases are marked, and `rms` m drawn over the phases it has."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        plots.shade_phases(axes, phases, time[-1], names=True)
        axes.plot(time, 100 * error, color=plots.FLOWN, linewidth=1.3)
        axes.set(xlabel="time, s", ylabel="distance from the reference, cm", ylim=(0, 100 * error.max() * 1.18))
        for name, start, end in phases:
            if name in rms:
                level = 100 * rms[name]
                axes.plot(
                    (start, min(end, time[-1])), (level, level), color=plots.INK, linewidth=1.0, linestyle=(0, (2, 2))
                )
        axes.plot((), (), color=plots.INK, linewidth=1.0, linestyle=(0, (2, 2)), label="root mean square of the phase")
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)

    return plots.svg("tracking", draw, (10.4, 3.2))
