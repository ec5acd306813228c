"""Draws the picture of `make bench-chunks`: what a policy achieves beside how long one decision takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common import Row

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

COLORS = ("#2f6db5", "#c0392b", "#2e8b57", "#e0872b", "#7d3c98", "#5d6d7e", "#b5a000", "#16a0a0")
SHOWN = {"half executed": ("o", "half of a chunk is executed"), "warm start a tick": ("*", "a warm start every tick")}
"""Strategy -> marker, and words for it. Others take as long as the first of them."""
PANELS = {"coverage": "coverage of the goal (greatest of an episode)", "success": "success: more than 95 % covered"}


@dataclass(frozen=True, kw_only=True)
class Point:
    """One case: the family that it is of, sampler, evaluations of the network and strategy as the table names them; ms
    of a decision, 99th percentile; scores in % with their intervals."""

    family: str
    sampler: str
    evaluations: str
    strategy: str
    late: float
    scores: dict[str, tuple[float, float, float]]


def points(rows: Sequence[Row]) -> list[Point]:
    """Those cases of the table whose decisions were timed. Raises ValueError where there is none."""
    by_metric = {row.metric: row for row in rows}
    found = []
    for row in rows:
        name, _, kind = row.metric.rpartition(": ")
        if kind != "p99 of a decision":
            continue
        family, drawn, strategy = name.split(", ")
        sampler, _, count = drawn.rpartition(" ")
        scores = {panel: _percent(by_metric[f"{name}: {panel}"]) for panel in PANELS}
        point = Point(
            family=family, sampler=sampler, evaluations=count, strategy=strategy, late=row.value, scores=scores
        )
        found.append(point)
    if not found:
        raise ValueError("no decision was timed, so there is nothing to draw: leave --decisions 0 out")
    return found


def _percent(row: Row) -> tuple[float, float, float]:
    low, high = row.spread or (row.value, row.value)
    factor = 1.0 if row.unit == "%" else 100.0
    return factor * low, factor * row.value, factor * high


def draw_points(found: Sequence[Point], path: Path) -> None:
    """A panel for each score: the farther up and to the left, the better."""
    shown = [point for point in found if point.strategy in SHOWN]
    colors = dict(zip(dict.fromkeys(point.family for point in shown), COLORS * len(shown), strict=False))
    figure, panels = plt.subplots(1, 2, figsize=(11.0, 4.6), layout="constrained", sharex=True)
    for panel, score in zip(panels, PANELS, strict=True):
        for family, color in colors.items():
            _draw_family(panel, [point for point in shown if point.family == family], score, color)
        panel.set(xscale="log", xlabel="one decision on one core, 99th percentile, ms", ylim=(0, 100))
        panel.set_title(PANELS[score], fontsize=11)
        panel.yaxis.set_major_formatter("{x:.0f} %")
        panel.xaxis.set_major_formatter("{x:g}")
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    legend = [Line2D([], [], color=color, linewidth=3, label=family) for family, color in colors.items()]
    used = {point.strategy for point in shown}
    legend += [
        Line2D([], [], color="0.3", linestyle="", marker=marker, markersize=9, label=words)
        for strategy, (marker, words) in SHOWN.items()
        if strategy in used
    ]
    figure.legend(handles=legend, loc="outside lower center", ncols=4, frameon=False, fontsize=10)
    figure.suptitle("Numbers are evaluations of the network for a decision; bars are 95 % intervals", fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_family(panel: Axes, found: list[Point], score: str, color: str) -> None:
    """A line for each sampler of a family, from few evaluations to many; warm starts stand by themselves."""
    for strategy, sampler in dict.fromkeys((point.strategy, point.sampler) for point in found):
        line = sorted(
            (point for point in found if (point.strategy, point.sampler) == (strategy, sampler)),
            key=lambda point: point.late,
        )
        times, values = [point.late for point in line], [point.scores[score][1] for point in line]
        marker = SHOWN[strategy][0]
        panel.plot(times, values, color=color, linewidth=1.3, alpha=0.8, linestyle="-" if marker == "o" else "")
        for point in line:
            low, value, high = point.scores[score]
            panel.plot((point.late, point.late), (low, high), color=color, linewidth=1.0, alpha=0.25)
            panel.plot(point.late, value, marker=marker, color=color, markersize=11 if marker == "*" else 6)
            words = f"{sampler.replace('_', ' ')} {point.evaluations}".strip()
            panel.annotate(
                words, (point.late, value), xytext=(5, 5), textcoords="offset points", fontsize=8, color=color
            )
