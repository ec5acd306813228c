"""Draws the picture of `make bench-deploy`: the node beside the echo, and its loop beside one that only sleeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from deployment.flight import Flown, Measured

_OURS, _LIMIT = "#2f6db5", "#e0872b"
_WIDTH = 10 ** (1 / 20)  # of a bucket: LatencyHistogram has 20 a decade


def draw(flights: Sequence[tuple[str, Flown, Measured]], path: Path) -> None:
    """A row for each flight, by its name, with the echo after it: latency to the left, jitter to the right."""
    size = (11.0, 0.8 + 2.6 * len(flights))
    figure, panels = plt.subplots(len(flights), 2, figsize=size, layout="constrained", squeeze=False, sharex="col")
    for (left, right), (name, flown, echo) in zip(panels, flights, strict=True):
        _compare(left, flown.robot["sensor_to_command"], "policy node", echo, "bare echo, which decides nothing")
        _compare(right, flown.node["loop"]["period_error"], "policy node", flown.bare, "bare loop, which only sleeps")
        left.set_ylabel(f"{name}\nshare of all periods")
    panels[0, 0].set_title("From a reading to its command, over DDS", fontsize=11, pad=28)
    panels[0, 1].set_title("How much a period is longer or shorter than it should be", fontsize=11, pad=28)
    for panel in panels[0]:
        panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=9.5)
    for panel in panels[-1]:
        panel.set_xlabel("ms; dashed: 99.9 % are below")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _compare(panel: Axes, ours: Measured, our_name: str, limit: Measured, its_name: str) -> None:
    """Both with a logarithmic count as well: what happens once in ten thousand periods is what counts."""
    for measured, name, color in ((limit, its_name, _LIMIT), (ours, our_name, _OURS)):
        edges = [float(edge) / 1e3 for edge in measured["buckets_us"]]
        shares = [count / measured["count"] for count in measured["buckets_us"].values()]
        widths = [edge * (1 - 1 / _WIDTH) for edge in edges]
        panel.bar(edges, shares, [-width for width in widths], align="edge", color=color, alpha=0.6, label=name)
        panel.axvline(measured["p99.9_us"] / 1e3, color=color, linestyle="--", linewidth=1.2)
    panel.set(xscale="log", yscale="log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    panel.xaxis.set_major_formatter("{x:g}")
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
