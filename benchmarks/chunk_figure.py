"""Draws the picture of `make bench-chunks`: what a policy achieves beside how long one decision takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common import Row

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

KINDS = {
    "student": ("#2e8b57", "distilled student"),
    "warm": ("#e0872b", "warm start: a new plan every tick"),
    "sampler": ("#2f6db5", "from noise, more evaluations to the right"),
    "regression": ("#7f8c8d", "regression"),
}
"""Kind of a case -> color, and words for it."""
REGRESSIONS = ("cloning", "mip", "act")
PANELS = {"coverage": "Coverage of the goal, greatest of an episode", "success": "Success: more than 95 % covered"}


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

    @property
    def kind(self) -> str:
        """One of KINDS."""
        if self.family.startswith("few_step"):
            return "student"
        if self.strategy.startswith("warm start"):
            return "warm"
        return "regression" if self.family.split()[0] in REGRESSIONS else "sampler"

    @property
    def words(self) -> str:
        """What the picture calls it."""
        name = " ".join(filter(None, (self.family.replace("few_step", "student:"), self.sampler.replace("_", " "))))
        return f"{name}{' warm' if self.strategy.startswith('warm start') else ''} ({self.evaluations})"


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
    """A panel for each score: the farther up and to the left, the better. Only those cases have a name than which none
    is both faster and better. Ensembles are left out: they take as long as what they are made of."""
    shown = [point for point in found if not point.strategy.startswith("ensemble")]
    figure, panels = plt.subplots(1, 2, figsize=(11.0, 5.0), layout="constrained", sharex=True)
    for panel, score in zip(panels, PANELS, strict=True):
        _draw_score(panel, shown, score)
        panel.set_title(PANELS[score], fontsize=11, pad=10)
    handles = [
        Line2D([], [], color=color, linestyle="", marker="o", markersize=8, label=words)
        for kind, (color, words) in KINDS.items()
        if any(point.kind == kind for point in shown)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9.5)
    figure.suptitle(
        "Up and to the left is better. A name says that nothing is both faster and better; "
        "in brackets, evaluations of the network. Bars: 95 %.",
        fontsize=9.5,
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def best(found: Sequence[Point], score: str) -> list[Point]:
    """From fast to slow, those than which none is both faster and better."""
    front: list[Point] = []
    for point in sorted(found, key=lambda each: (each.late, -each.scores[score][1])):
        if not front or point.scores[score][1] > front[-1].scores[score][1]:
            front.append(point)
    return front


def _draw_score(panel: Axes, found: list[Point], score: str) -> None:
    front = best(found, score)
    for family, sampler in dict.fromkeys((point.family, point.sampler) for point in found if point.kind == "sampler"):
        drawn = (p for p in found if p.kind == "sampler" and (p.family, p.sampler) == (family, sampler))
        line = sorted((point.late, point.scores[score][1]) for point in drawn)
        panel.plot(*zip(*line, strict=True), color=KINDS["sampler"][0], linewidth=1.0, alpha=0.35)
    for point in found:
        named, color = point in front, KINDS[point.kind][0]
        size, alpha = (8.0, 1.0) if named else (5.0, 0.5)
        panel.plot(
            point.late, point.scores[score][1], marker="o", color=color, markersize=size, alpha=alpha, zorder=2 + named
        )
    for point in front:
        low, _, high = point.scores[score]
        panel.plot((point.late, point.late), (low, high), color=KINDS[point.kind][0], linewidth=1.5, alpha=0.6)
        panel.annotate(
            point.words, (point.late, high), xytext=(1, 3), textcoords="offset points", rotation=40, fontsize=8.5,
            rotation_mode="anchor", color=KINDS[point.kind][0],
        )  # fmt: skip
    floor = min(point.scores[score][1] for point in found) // 10 * 10
    highest = max(point.scores[score][2] for point in front)
    panel.set_xlim(0.6 * min(point.late for point in found), 4.0 * max(point.late for point in found))
    panel.set(
        xscale="log",
        xlabel="one decision on one core, 99th percentile, ms",
        ylim=(floor, floor + 1.35 * (highest - floor)),
    )
    panel.set_yticks(range(int(floor), int(highest // 10 * 10) + 1, 10))
    panel.yaxis.set_major_formatter("{x:.0f} %")
    panel.xaxis.set_major_formatter("{x:g}")
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
