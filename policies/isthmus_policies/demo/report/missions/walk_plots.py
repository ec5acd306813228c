"""The plots of a walk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from isthmus_policies.demo.report import plots
from isthmus_policies.demo.report.plots import Phase, Vector


def path(
    position: Vector, asked: Vector, heading: Vector, asked_heading: Vector, time: Vector, phases: Sequence[Phase]
):
    """Walked and asked path (t, 2) m from above, and headings (t,) rad over time, both since the walk's beginning."""

    def draw(figure: Figure) -> None:
        above, turned = figure.subplots(1, 2, width_ratios=(1, 1.25))
        above.plot(*asked.T, color=plots.REFERENCE, linewidth=1.3, label="asked")
        above.plot(*position.T, color=plots.FLOWN, label="walked")
        above.plot(*position[0], "o", color=plots.INK, markersize=4)
        above.annotate("start", position[0], (6, -11), textcoords="offset points", color=plots.MUTED, fontsize=8.5)
        above.update_datalim(position[0] + np.array(((-0.3, -0.3), (0.3, 0.3))))  # no microscope
        above.set_aspect("equal", adjustable="datalim")
        above.set(title="From above", xlabel="x, m", ylabel="y, m")
        above.legend(loc="upper right", ncols=2, bbox_to_anchor=(1.0, 1.12), borderaxespad=0)
        plots.shade_phases(turned, phases, time[-1], names=False)
        turned.plot(time, np.degrees(asked_heading), color=plots.REFERENCE, linewidth=1.3)
        turned.plot(time, np.degrees(heading), color=plots.FLOWN)
        turned.set(title="Heading", xlabel="time, s", ylabel="angle, °")

    return plots.svg("path", draw, (10.4, 4.3))


def velocity(time: Vector, true: Vector, asked: Vector, smoothed: Vector, phases: Sequence[Phase]) -> str:
    """Asked and true velocity (t, 3): forward m/s, left m/s, turning rad/s; `smoothed` over a cycle of the gait."""

    def draw(figure: Figure) -> None:
        rows = figure.subplots(3, 1, sharex=True)
        labels = (("Forward", "m/s"), ("Sideways, to the left", "m/s"), ("Turning, to the left", "rad/s"))
        for i, (axes, (name, unit)) in enumerate(zip(rows, labels, strict=True)):
            plots.shade_phases(axes, phases, time[-1], names=i == 0)
            axes.plot(time, true[:, i], color=plots.FLOWN, alpha=0.3, linewidth=0.8)
            axes.plot(time, smoothed[:, i], color=plots.FLOWN)
            axes.plot(time, asked[:, i], color=plots.REFERENCE, linewidth=1.3)
            low, high = min(asked[:, i].min(), smoothed[:, i].min()), max(asked[:, i].max(), smoothed[:, i].max())
            axes.set(title=name, ylabel=unit, ylim=(low - 0.2, high + (0.45 if i == 0 else 0.2)))
        rows[-1].set(xlabel="time, s")

    return plots.svg("velocity", draw, (10.4, 5.6))


def body(time: Vector, height: Vector, tilt: Vector, phases: Sequence[Phase], limits: tuple[float, float]) -> str:
    """Height of the base (t,) m and tilt (t,) rad; `limits`: below this height, above this tilt it has fallen."""

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for axes, values, limit in ((left, height, limits[0]), (right, np.degrees(tilt), np.degrees(limits[1]))):
            plots.shade_phases(axes, phases, time[-1], names=False)
            axes.plot(time, values, color=plots.FLOWN)
            axes.axhline(limit, color=plots.MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
            axes.annotate(
                "fallen", (1.0, limit), (-4, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
                ha="right", color=plots.MUTED, fontsize=8.5,
            )  # fmt: skip
        left.set(title="Height of the base", xlabel="time, s", ylabel="height, m", ylim=(0, None))
        right.set(title="Tilt", xlabel="time, s", ylabel="angle, °", ylim=(0, None))

    return plots.svg("body", draw, (10.4, 3.0))


def gait(time: Vector, stands: NDArray[np.bool_], feet: Sequence[str]) -> str:
    """When each of the feet stood: `stands` (t, feet) of booleans, at times (t,) s."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for row, (foot, down) in enumerate(zip(feet, stands.T, strict=True)):
            axes.broken_barh(_spans(time, down), (row - 0.32, 0.64), facecolors=plots.ACCENT)
            axes.text(-0.01, row, foot, transform=axes.get_yaxis_transform(), ha="right", va="center",
                      color=plots.MUTED, fontsize=9)  # fmt: skip
        _bare(axes, len(feet))
        axes.set(title="Feet on the ground", xlabel="time, s", xlim=(time[0], time[-1]))

    return plots.svg("gait", draw, (10.4, 2.4))


def _spans(time: Vector, down: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Start and length of each stretch of `down`."""
    edges = np.flatnonzero(np.diff(np.concatenate(((False,), down, (False,))).astype(int)))
    last = len(time) - 1
    return [(float(time[a]), float(time[min(b, last)] - time[a])) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _bare(axes: Axes, rows: int) -> None:
    axes.set_yticks(())
    axes.set_ylim(rows - 0.5, -0.5)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")


def joints(time: Vector, position: Vector, target_time: Vector, target: Vector, names: Sequence[str]) -> str:
    """Targets and angles (t, j) rad of a few joints, from the first to the last of `time` (t,) s."""

    def draw(figure: Figure) -> None:
        for i, axes in enumerate(np.atleast_1d(figure.subplots(1, len(names)))):
            axes.step(target_time, target[:, i], where="post", color=plots.REFERENCE, linewidth=1.1, label="target")
            axes.plot(time, position[:, i], color=plots.FLOWN, label="angle")
            axes.set(title=names[i], xlabel="time, s", xlim=(time[0], time[-1]))
            axes.set_ylabel("angle, rad" if i == 0 else "")
        axes.legend(loc="upper right", ncols=2, bbox_to_anchor=(1.0, 1.17), borderaxespad=0)

    return plots.svg("joints", draw, (10.4, 2.9))
