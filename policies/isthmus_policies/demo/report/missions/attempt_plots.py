"""The plots of an attempt at a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from isthmus_policies.demo.report import plots
from isthmus_policies.demo.report.plots import Vector


def progress(time: Vector, values: Vector, title: str, unit: str, done: float | None) -> str:
    """What was measured (t,) over time (t,) s, and a line at `done`, where that is what counts."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(time, values, color=plots.FLOWN)
        axes.set(title=title, xlabel="time, s", ylabel=unit, xlim=(0.0, time[-1]), ylim=(0.0, None))
        if done is not None:
            axes.axhline(done, color=plots.REFERENCE, linewidth=1.0, linestyle=(0, (4, 3)))
            axes.annotate(
                "done", (1.0, done), (-4, 4), xycoords=("axes fraction", "data"), textcoords="offset points",
                ha="right", color=plots.MUTED, fontsize=8.5,
            )  # fmt: skip
            axes.set_ylim(0.0, 1.12 * max(done, float(values.max())))

    return plots.svg("progress", draw, (10.4, 3.0))


def losses(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Loss over steps of each run, from the rows of its metrics.csv."""

    def draw(figure: Figure) -> None:
        for axes, (name, rows) in zip(np.atleast_1d(figure.subplots(1, len(runs))), runs.items(), strict=True):
            points = np.array([(row["steps"], row["loss"]) for row in rows])
            kept = np.array([(row["steps"], row["validation"]) for row in rows if "validation" in row]).reshape(-1, 2)
            axes.plot(*points.T, color=plots.ACCENT, label="training")
            axes.plot(*kept.T, "o", color=plots.INK, markersize=4, label="episodes kept back")
            axes.set(title=name.capitalize(), xlabel="steps", ylabel="loss", ylim=(0.0, None))
            axes.legend(loc="upper right")

    return plots.svg("losses", draw, (10.4, 3.0))
