"""How a policy was taught: how much somebody else drove meanwhile, and what succeeded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from isthmus_policies.demo.report import plots
from isthmus_policies.demo.report.html import section
from isthmus_policies.demo.report.record import Demo

PARTS = 10
Rows = Sequence[dict[str, float]]


def intervened(rows: Rows) -> list[float]:
    """Share of the control steps that somebody else drove, in tenths of them; fewer where fewer were done."""
    return _parts(rows, "robot/intervened")


def succeeded(rows: Rows) -> list[float]:
    """Share of the episodes that succeeded, in tenths of the practice; those without an end are left out."""
    return _parts(rows, "episode/succeeded")


def _parts(rows: Rows, name: str) -> list[float]:
    """Means of what a row has, one of equally many rows after the other."""
    told = [row[name] for row in rows if name in row]
    return [float(part.mean()) for part in np.array_split(np.array(told), PARTS) if len(part)]


def learning(demo: Demo) -> str:
    """A part of the page; nothing where nothing is known."""
    shares, done = intervened(demo.metrics), succeeded(demo.metrics)
    if len(shares) < 2:
        return ""
    text = (
        "The robot acted by the policy that was being learned, and a script took over where it had not succeeded after "
        "some seconds, as a person who looks on would. Both shares are of a tenth of the practice."
    )
    return section("Practice", text, _plot(shares, done))


def _plot(shares: list[float], done: list[float]) -> str:
    def draw(figure: Figure) -> None:
        panels = {"Steps that the script drove": shares, "Episodes that succeeded": done}
        for axes, (title, values) in zip(figure.subplots(1, 2), panels.items(), strict=True):
            axes.plot(np.arange(1, len(values) + 1), 100 * np.array(values), "o-", color=plots.FLOWN, markersize=4)
            axes.set(title=title, xlabel="tenth of the practice", ylabel="%")
            axes.set(ylim=(0.0, 105.0), xlim=(0.5, PARTS + 0.5))

    return plots.svg("practice", draw, (10.4, 3.0))
