"""What a monitor says of episodes, beside each of its scores alone: shared by the benchmarks of monitors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median
from typing import Any

from common import Row

from torch import Tensor

from isthmus_deploy.contracts.monitor_data import Monitor
from isthmus_deploy.safety.monitor import RuntimeMonitor
from isthmus_policies.evaluation.intervals import wilson
from isthmus_policies.monitor.calibration import MonitorConfig, Scoring, calibrate, parts_of

BOTH, EACH = "monitor", "each threshold for itself"
USUAL = "as trained"


class Alone:
    """One of a policy's scores."""

    def __init__(self, scorer: Scoring[Any], column: int) -> None:
        self.noise, self.every, self.carried = scorer.noise, scorer.every, scorer.carried
        self.names = scorer.names[column : column + 1]
        self._all, self._column = scorer, column

    def of(self, episode: Any, /) -> Tensor:
        """(computations, 1)."""
        return self._all.of(episode)[:, self._column : self._column + 1]


Judge = tuple[Scoring[Any], Monitor]


def judges(scorer: Scoring[Any], both: Monitor, config: MonitorConfig, tried: Sequence[Any]) -> dict[str, Judge]:
    """A monitor, and what stands beside it, of the same episodes."""
    _, usual, held_out = parts_of(tried)
    alone = [Alone(scorer, column) for column in range(len(scorer.names))]
    monitors = [calibrate(each, config, usual, held_out) for each in alone]
    apart = replace(both, scores=tuple(monitor.scores[0] for monitor in monitors))
    table: dict[str, Judge] = {BOTH: (scorer, both), EACH: (scorer, apart)}
    for each, monitor in zip(alone, monitors, strict=True):
        table[f"{each.names[0]} alone"] = (each, monitor)
    return table


def alarm_of(judge: Judge, episode: Any, ticks: Sequence[int]) -> int | None:
    """The control period of the first alarm, of scores that were computed in `ticks`; None for none."""
    scorer, monitor = judge[0], RuntimeMonitor(judge[1])
    for tick, row in zip(ticks, scorer.of(episode).numpy(), strict=True):
        monitor.see(row)
        if monitor.alarm:
            return tick
    return None


@dataclass(kw_only=True)
class Counted:
    """What one judge said of the episodes of one case. seconds: From the alarm to the end, of failures."""

    good: int = 0
    false_alarms: int = 0
    bad: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, judge: Judge, episode: Any, ticks: Sequence[int], length: int, period_s: float) -> None:
        """An episode of so many control periods."""
        alarm = alarm_of(judge, episode, ticks)
        self.good += episode.succeeded
        self.bad += not episode.succeeded
        self.false_alarms += episode.succeeded and alarm is not None
        if alarm is not None and not episode.succeeded:
            self.seconds.append(period_s * (length - alarm))


Table = dict[tuple[str, str], Counted]
"""Judge and case -> what was counted."""


def rows_of(table: Mapping[tuple[str, str], Counted], calibrated: list[int], share: float) -> list[Row]:
    """Alarms among successes and failures, by case, and how long before the end."""
    rows, limit = [], f"<= {share + fmean(1 / (count + 1) for count in calibrated):.4f}"
    for (judge, case), counted in table.items():
        must = limit if (judge, case) == (BOTH, USUAL) else None
        rows += _shares(f"{case}, {judge}: false alarms", counted.false_alarms, counted.good, must)
        rows += _shares(f"{case}, {judge}: failures told", len(counted.seconds), counted.bad)
        if counted.seconds:
            told, ends = sorted(counted.seconds), len(counted.seconds)
            spread = (told[0], told[-1])
            rows.append(
                Row(metric=f"{case}, {judge}: before the end", value=median(told), unit="s", spread=spread, seeds=ends)
            )
    return rows


def _shares(metric: str, count: int, n: int, must: str | None = None) -> list[Row]:
    """A share in % with its 95 % interval. The must is kept by the share; that the interval's end keeps it, too, is the
    aim. Nothing where there is no episode."""
    if not n:
        return []
    low, value, high = (100 * end for end in wilson(count, n))
    if must is None:
        return [Row(metric=metric, value=value, unit="%", spread=(low, high), seeds=n)]
    bound = f"<= {100 * float(must.split()[1]):.1f}"
    return [
        Row(metric=metric, value=value, unit="%", seeds=n, must=bound),
        Row(metric=f"{metric}, 95 % interval", value=value, unit="%", spread=(low, high), seeds=n, aim=bound),
    ]
