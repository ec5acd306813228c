"""Which reading of each feature holds at every tick of a fixed-rate grid, and which command was decided on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.convert.importers.bags.capture_times import (
    SECOND,
    WHOLE,
    Nanoseconds,
    Span,
    common_time,
    observed_among,
    period_of,
)
from isthmus_datasets.convert.importers.bags.lead import Lead, find_lead

PHASES = 24
"""How many beginnings within a period are tried for a grid."""
OFTEN = 1.1
"""Observations whose readings are at most so many grid periods apart should have a new one at every tick."""
NEAR = 0.75
"""A command that comes this share of a tick later than usual may still be that of a row, where each row has its own;
half a tick where commands are slower."""
STALE_PERIODS = 5
"""A reading held for more than so many of its topic's usual periods is reported."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Ticks at a fixed rate.

    Args:
        ticks: (T,) ns.
        rows: feature -> (T,): the last reading not after the tick; of an action the one that was decided on the newest
            of these.
    """

    ticks: Nanoseconds
    rows: Mapping[str, NDArray[np.int64]]

    def shown(self, times: Mapping[str, Nanoseconds]) -> dict[str, Nanoseconds]:
        """feature -> (T,) ns: when the reading of each row was taken."""
        return {name: times[name][rows] for name, rows in self.rows.items()}


def make_grid(
    times: Mapping[str, Nanoseconds],
    fps: int,
    where: str,
    span: Span = WHOLE,
    heard: Mapping[str, Nanoseconds] | None = None,
) -> Grid:
    """From the time at which every feature has its first reading to the end of the observation that ends first.

    A command that is no longer sent still holds, so only observations end a grid (all features where none is one).
    Where it begins within its first period is chosen so that the fewest ticks have the reading of the tick before, of
    observations that come at least as often: a camera at the grid's own rate, with a little jitter, would else come
    before and after the tick in turns; and so that commands that come as often are nearest to when they are due: of a
    sensor twice as fast, the ticks would else have just those readings that no command was decided on.

    Args:
        times: feature -> (n,) ns, never falling, n > 0.
        fps: Ticks per second.
        where: For errors.
        span: Only ticks in it; a reading from before it may still hold.
        heard: feature -> (n,) ns: when its readings came, by one clock for all, never falling: with which of them a
            command came says more than with which it was taken. None for `times`.

    Raises:
        DatasetError: the features' times have no moment in common.
    """
    observed = observed_among(times)
    start, last = common_time(times, where)
    start, stop = max(start, span[0]), min(last, span[1] - 1)
    begins = (start + SECOND * phase // (fps * PHASES) for phase in range(PHASES))
    grids = (_grid(times, fps, begin, stop) for begin in begins if begin <= stop)
    often = [name for name, t in times.items() if period_of(t) < OFTEN * SECOND / fps]
    heard = times if heard is None else heard
    leads = {name: find_lead(heard, observed, name, fps) for name in times if name not in observed}

    def cost(grid: Grid) -> float:
        """In periods. To be rid of a tick with the reading of the tick before is worth more than a tick at the end."""
        held = sum(int((np.diff(grid.rows[name]) == 0).sum()) for name in often if name not in leads)
        shown = grid.shown(heard)
        apart = [
            np.abs(lead.decided[grid.rows[name]] - lead.shown(grid.ticks, shown))
            for name, lead in leads.items()
            if name in often
        ]
        return 2 * held + sum(float((each * fps / SECOND).clip(max=0.5).sum()) for each in apart) - len(grid.ticks)

    return min((_with_actions(heard, grid, leads) for grid in grids), key=cost)


def _with_actions(heard: Mapping[str, Nanoseconds], grid: Grid, leads: Mapping[str, Lead]) -> Grid:
    """A row's command is the first that was decided on what it shows, or on what is nearest to that. The last one not
    after the tick would be the command before, wherever the tick falls between a reading and its command. Where none is
    near, as when commands are slower or pause, the last one still holds."""
    tick = period_of(grid.ticks) if len(grid.ticks) > 1 else 0.0
    near = {name: tick * (NEAR if period_of(heard[name]) < OFTEN * tick else 0.5) for name in leads}
    shown = grid.shown(heard)
    rows = {name: _nearest(lead.decided, lead.shown(grid.ticks, shown), near[name]) for name, lead in leads.items()}
    return replace(grid, rows={**grid.rows, **rows})


def _nearest(decided: Nanoseconds, shown: Nanoseconds, near: float) -> NDArray[np.int64]:
    last = (np.searchsorted(decided, shown, side="right") - 1).clip(0)
    following = (last + 1).clip(max=len(decided) - 1)
    nearer = (decided[following] - shown) < (shown - decided[last])
    chosen = np.where(nearer & (decided[following] - shown <= near), following, last)
    return np.searchsorted(decided, decided[chosen])  # the first of those that were decided on one reading


def _grid(times: Mapping[str, Nanoseconds], fps: int, start: int, stop: int) -> Grid:
    steps = np.arange((stop - start) * fps // SECOND + 1, dtype=np.int64)
    ticks = start + steps * SECOND // fps
    return Grid(ticks=ticks, rows={name: np.searchsorted(t, ticks, side="right") - 1 for name, t in times.items()})


def time_findings(grid: Grid, times: Mapping[str, Nanoseconds], span: Span = WHOLE) -> list[str]:
    """What was cut off at the start, readings that hold for much longer than their topic's period, and which readings
    stand in two rows or in none."""
    findings = []
    first = max(span[0], min(int(t[0]) for t in times.values()))
    late = max(times, key=lambda name: int(times[name][0]))
    period = grid.ticks[1] - grid.ticks[0] if len(grid.ticks) > 1 else SECOND
    if grid.ticks[0] - first > period:
        findings.append(f"the first {(grid.ticks[0] - first) / SECOND:.2f} s are left out: {late} starts only then")
    for name, t in times.items():
        age = grid.ticks - t[grid.rows[name]]
        usual = float(np.median(np.diff(t))) if len(t) > 1 else float(SECOND)
        stale = age > STALE_PERIODS * max(usual, 1.0)
        if stale.any():
            findings.append(
                f"{name} pauses: a reading is held for up to {age.max() / SECOND:.2f} s, and {int(stale.sum())} of"
                f" {len(age)} steps are older than {STALE_PERIODS} of its usual periods ({usual / SECOND:.3f} s)"
            )
    return findings + [text for name, rows in grid.rows.items() for text in _use_findings(name, rows)]


def _use_findings(name: str, rows: NDArray[np.int64]) -> list[str]:
    """What a feature's rows make of its readings, between the first one that they have and the last."""
    held = int((np.diff(rows) == 0).sum())
    dropped = int(rows[-1] - rows[0] + 1 - len(np.unique(rows)))
    parts = [f"{held} of {len(rows)} rows hold the reading of the row before"] if held else []
    parts += [f"{dropped} of {rows[-1] - rows[0] + 1} readings are in no row"] if dropped else []
    return [f"{name}: {', '.join(parts)}; none is interpolated"] if parts else []
