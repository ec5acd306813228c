"""The plots of the page, as SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from isthmus_datasets.tools.report.starts import Numbers, Starts

ACCENT, SECOND, BAD, MUTED, RULE = "#2a7f86", "#e0590b", "#c0322b", "#5d6776", "#d9dee6"
WIDTH = 10.4  # inches
ACROSS = 4  # small plots in a row

_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "isthmus", "font.size": 9, "axes.labelcolor": MUTED, "axes.edgecolor": RULE,
    "axes.titlesize": 9.5, "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": RULE, "grid.linewidth": 0.5, "xtick.color": RULE,
    "ytick.color": RULE, "xtick.labelcolor": MUTED, "ytick.labelcolor": MUTED, "legend.frameon": False,
}  # fmt: skip


def durations(seconds: Numbers) -> str:
    """Histogram of the episodes' durations (E,) in s."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.hist(seconds, bins=min(40, max(5, len(seconds) // 4)), color=ACCENT)
        axes.axvline(float(np.median(seconds)), color=SECOND, linewidth=1.2, label="median")
        axes.set(xlabel="duration, s", ylabel="episodes", xlim=(0, None))
        axes.legend()

    return _svg("durations", draw, 2.4)


def start_states(starts: Starts) -> str:
    """A bar per channel, from the 1st to the 99th percentile of all steps, with a dot per episode where it starts; and
    the starts along the two directions in which they differ most."""

    def draw(figure: Figure) -> None:
        axes, above = figure.subplots(1, 2, width_ratios=(2.4, 1))
        span = np.where(starts.high > starts.low, starts.high - starts.low, 1.0)
        places = (starts.values - starts.low) / span
        rows = np.arange(len(starts.names))
        axes.hlines(rows, 0, 1, color=RULE, linewidth=9)
        shake = np.random.default_rng(0).uniform(-0.2, 0.2, places.shape)
        axes.plot(places, rows + shake, "o", color=ACCENT, markersize=3, alpha=0.5, markeredgewidth=0)
        axes.set(xlim=(-0.15, 1.25), ylim=(len(rows) - 0.5, -0.5), yticks=rows, xticks=(0, 0.5, 1))
        axes.set_yticklabels(
            [f"{n}  {a:.3g} … {b:.3g}" for n, a, b in zip(starts.names, starts.low, starts.high, strict=True)]
        )
        axes.set_xticklabels(("1 %", "middle", "99 %"))
        for row, share in enumerate(starts.covered):
            axes.annotate(f"{share:.0%}", (1.24, row), ha="right", va="center", color=MUTED)
        axes.grid(visible=False)
        places, share = starts.map()
        above.plot(*places.T, "o", color=ACCENT, markersize=3, alpha=0.6, markeredgewidth=0)
        title = f"from above ({share:.0%})" if len(places) else "they do not differ"
        above.set(title=title, xticks=(), yticks=())

    return _svg("starts", draw, max(2.6, 0.7 + 0.34 * len(starts.names)))


def histograms(channels: Mapping[str, Sequence[NDArray[Any]]], labels: Sequence[str]) -> str:
    """A small histogram per channel of its values, (N,) each; several, called `labels`, over one another."""

    def draw(figure: Figure) -> None:
        grid = figure.subplots(_lines(channels), ACROSS, squeeze=False)
        for axes, (name, columns) in zip(grid.flat, channels.items(), strict=False):
            edges = np.histogram_bin_edges(np.concatenate(columns), 40)
            for values, color, label in zip(columns, (ACCENT, SECOND), labels, strict=False):
                outlined = "stepfilled" if color == ACCENT else "step"
                axes.hist(values, edges.tolist(), color=color, histtype=outlined, label=label)
            axes.set(title=name, yticks=())
        _hide(grid.flat[len(channels) :])
        if len(labels) > 1:
            grid.flat[0].legend(fontsize=8)

    return _svg("actions", draw, 1.7 * _lines(channels))


def smoothness(values: Mapping[int, float], failed: set[int]) -> str:
    """A dot per episode, episode -> value; those of `failed` in another colour."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for color, label, kept in ((ACCENT, None, False), (BAD, "no success", True)):
            chosen = {index: value for index, value in values.items() if (index in failed) == kept}
            axes.plot(
                list(chosen), list(chosen.values()), "o", color=color, markersize=3.5, label=label if chosen else None
            )
        axes.axhline(float(np.median(list(values.values()))), color=SECOND, linewidth=1.0, label="median")
        axes.set(xlabel="episode", ylabel="spectral arc length")
        axes.legend(ncols=3, fontsize=8)

    return _svg("smoothness", draw, 2.5)


def _lines(channels: Mapping[str, Any]) -> int:
    return -(-len(channels) // ACROSS)


def _hide(axes: Iterable[Axes]) -> None:
    for each in axes:
        each.set_axis_off()


def _svg(name: str, draw: Callable[[Figure], None], height: float) -> str:
    """What `draw` draws; `name` keeps its ids apart from other plots'."""
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r'(id="|url\(#|xlink:href="#)', rf"\g<1>{name}-", text[text.index("<svg") :])
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', f'role="img" aria-label="{name}"', text, count=1)
