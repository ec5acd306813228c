"""The plots of a report: SVG that takes its colours and its font from the page, so that it reads in light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

Vector = NDArray[np.float64]

# Stand-ins that `svg` replaces by the page's CSS variables.
INK, MUTED, RULE, SHADE = "#010203", "#020304", "#030405", "#040506"
FLOWN, REFERENCE, ACCENT = "#050607", "#060708", "#070809"
_VARIABLES = {
    INK: "--ink", MUTED: "--muted", RULE: "--rule", SHADE: "--shade",
    FLOWN: "--flown", REFERENCE: "--reference", ACCENT: "--accent",
}  # fmt: skip

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "isthmus",
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9.5,
    "axes.edgecolor": RULE,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
}

Phase = tuple[str, float, float]
"""Name, start and end in s."""


def learning_curves(rows: Sequence[dict[str, float]], control_period_s: float, *, staged: bool) -> str:
    """Episode length and reward over the environment steps of a run's `metrics.csv`; `staged`: with a line where the
    reward's weights have reached their final values."""

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        _curve(left, rows, "episode/length", control_period_s)
        left.set(title="Episode length", xlabel="environment steps, millions", ylabel="time, s", ylim=(0, None))
        _curve(right, rows, "episode/return", 1.0)
        right.set(title="Reward per episode", xlabel="environment steps, millions", ylabel="reward")
        if staged:
            _draw_ramp(right, rows)

    return svg("learning", draw, (10.4, 3.0))


def _curve(axes: Axes, rows: Sequence[dict[str, float]], column: str, scale: float) -> None:
    points = np.array([(row["steps"] / 1e6, row[column] * scale) for row in rows if column in row]).reshape(-1, 2)
    axes.plot(points[:, 0], points[:, 1], color=ACCENT, alpha=0.3, linewidth=1.0)
    axes.plot(points[:, 0], running_mean(points[:, 1], max(1, len(points) // 30)), color=ACCENT)
    axes.margins(x=0.01)


def running_mean(values: Vector, width: int) -> Vector:
    """Mean over `width` values around each, fewer at the ends."""
    sums = np.cumsum(np.concatenate(((0.0,), values)))
    here = np.arange(len(values))
    first, last = np.maximum(0, here - width // 2), np.minimum(len(values), here + width // 2 + 1)
    return (sums[last] - sums[first]) / (last - first)


def _draw_ramp(axes: Axes, rows: Sequence[dict[str, float]]) -> None:
    ramp = [row["steps"] / 1e6 for row in rows if row["progress"] < rows[-1]["progress"]]
    if ramp:
        axes.axvline(ramp[-1], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate(
            "weights at their final values", (ramp[-1], 0.04), (5, 0), xycoords=("data", "axes fraction"),
            textcoords="offset points", color=MUTED, fontsize=8.5,
        )  # fmt: skip


def shade_phases(axes: Axes, phases: Sequence[Phase], end_s: float, *, names: bool) -> None:
    """Shade every other phase up to `end_s`, and write its name where there is room."""
    for i, (name, start, end) in enumerate(phases):
        if start >= end_s:
            continue
        end = min(end, end_s) if i + 1 < len(phases) else end_s
        if i % 2 == 0:
            axes.axvspan(start, end, color=SHADE, linewidth=0)
        if names and end - start > 0.06 * (end_s - phases[0][1]):
            axes.annotate(
                name, ((start + end) / 2, 0.945), xycoords=("data", "axes fraction"), ha="center", color=MUTED,
                fontsize=9,
            )  # fmt: skip
    axes.grid(visible=False, axis="x")
    axes.set_xlim(phases[0][1], end_s)


def timing(latency_s: Vector, period_s: Vector, nominal_s: float) -> str:
    """Histograms of sensor-to-command time and of the time from command to command, both in s."""

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        edges = np.geomspace(0.05, 20.0, 61)
        _histogram(left, latency_s, edges)
        left.set_xscale("log")
        left.set_xticks((0.1, 1.0, 10.0), ("0.1", "1", "10"))
        left.set(title="Reading to command", xlabel="time, ms", ylabel="commands", xlim=(edges[0], edges[-1]))
        _mark(left, 1e3 * float(np.percentile(latency_s, 50)), "median", side="right")
        _mark(left, 1e3 * float(np.percentile(latency_s, 99)), "p99", side="left")
        nominal = 1e3 * nominal_s
        _histogram(right, period_s, np.linspace(0.0, 2 * nominal, 81))
        right.set(title="Command to command", xlabel="time, ms", ylabel="commands", xlim=(0, 2 * nominal))

    return svg("timing", draw, (10.4, 3.0))


def _histogram(axes: Axes, values_s: Vector, edges: Vector) -> None:
    """Counts on a logarithmic axis, so that one late command in thousands is still seen; the ends take the rest."""
    clipped = np.clip(1e3 * values_s, edges[0], edges[-1])
    counts, _, _ = axes.hist(clipped, edges.tolist(), color=ACCENT, histtype="stepfilled", log=True)
    axes.set_ylim(0.7, 5 * np.max(counts))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()


def _mark(axes: Axes, value: float, name: str, *, side: Literal["left", "right"]) -> None:
    """A line at `value`, its text with that side at the line."""
    axes.axvline(value, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.annotate(
        f"{name}  {value:.2g} ms", (value, 0.92), (5 if side == "left" else -5, 0), ha=side,
        xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=9,
    )  # fmt: skip


def svg(name: str, draw: Callable[[Figure], None], size: tuple[float, float]) -> str:
    """What `draw` draws, as an SVG element to stand in a page; `name` keeps its ids apart from other plots'."""
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(id="|url\(#|xlink:href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', f'role="img" aria-label="{name}"', text, count=1)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var({variable})")
    return text
