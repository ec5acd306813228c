"""`make bench-monitor`: whether a monitor tells failures before they happen, and leaves alone what is new only.

Flows for Push-T from the state. The monitor is made of episodes that begin as training's did, and judged on others:
such that begin like those, such that begin where nobody demonstrated, and such whose block is seen beside where it is.
Some of these the policy manages all the same: what is new is not always bad, and an alarm there is a false one. Beside
the monitor stand each of its scores alone, and both with each threshold set for itself, as FIPER has it; all of them
have the same episodes, the same share of false alarms and the same window. What judges is `RuntimeMonitor`, as on the
robot. Window, networks and the way to set thresholds were chosen on one of the runs, on episodes with other seeds.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, median

from common import BenchOptions, Row, parse, report

import numpy as np
from chunk_trials import made_up, require_state
from rich.console import Console
from torch import Tensor

from isthmus_deploy.contracts.monitor_data import Monitor
from isthmus_deploy.safety.monitor import RuntimeMonitor
from isthmus_policies.chunks.monitor.fit import MonitorConfig, Scorer, calibrate, fit_monitor, parts_of
from isthmus_policies.chunks.monitor.watched import WatchedEpisode, watched_episodes
from isthmus_policies.chunks.runner import executor_of
from isthmus_policies.chunks.training.run import ChunkRun, load_chunk_run
from isthmus_policies.evaluation.intervals import wilson
from isthmus_sim.engine import State
from isthmus_sim.robots.pusher.description import GOAL, ROBOT
from isthmus_sim.sensors import Signals
from isthmus_sim.task import Goal
from isthmus_sim.tasks.push_t import PushT, PushTConfig, Start
from isthmus_sim.threads import use_thread_budget

SEED = 43_000
BOTH, EACH = "monitor", "each threshold for itself"
USUAL = "as trained"
BESIDE = 40.0  # px

Box = tuple[tuple[float, float], tuple[float, float]]
"""Least and most x, least and most y, px."""
_DISC: Box = ((50, 450), (50, 450))
_BLOCK: Box = ((100, 400), (100, 400))
_SOLVED: Box = ((GOAL[0], GOAL[0]), (GOAL[1], GOAL[1]))


def _edges(least: float, most: float, between: tuple[float, float]) -> tuple[Box, ...]:
    """All four edges of the table, from `least` to `most` px inwards."""
    near, far = (least, most), (512 - most, 512 - least)
    return (near, between), (far, between), (between, near), (between, far)


_CORNERS: tuple[Box, ...] = tuple((x, y) for x in ((20, 70), (442, 492)) for y in ((20, 70), (442, 492)))


@dataclass(frozen=True, kw_only=True)
class Case:
    """Where episodes begin, and by how many px to the right of where it is the block is seen."""

    disc: tuple[Box, ...] = (_DISC,)
    block: tuple[Box, ...] = (_BLOCK,)
    beside: float = 0.0


CASES = {
    USUAL: Case(),
    "disc at an edge": Case(disc=_edges(10, 35, (10, 500))),
    "block at an edge": Case(block=_edges(30, 70, (100, 400))),
    "block in a corner": Case(block=_CORNERS),
    "block seen beside": Case(beside=BESIDE),
}


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Make monitors, and count what they say of other episodes."""

    runs: tuple[Path, ...] = ()
    """Folders of finished runs for Push-T's state, each another seed. --quick makes one up."""
    false_alarms: float = 0.1
    """Share of successful episodes in which there may be an alarm."""
    known: int = 360
    """Episodes of which the monitor is made."""
    usual: int = 150
    """Other episodes that begin as training's did."""
    unusual: int = 60
    """Episodes of each other kind."""
    steps: int = 300
    """Control steps of an episode."""
    window: int = MonitorConfig.window
    """Inferences over which scores are averaged."""
    solved: bool = False
    """Whether usual episodes begin with the block in its goal: so that a policy that has learned nothing succeeds."""


QUICK = Options(false_alarms=0.3, known=24, usual=4, unusual=4, steps=16, window=1, solved=True)


class Seen(PushT):
    """Push-T whose block is seen beside where it is."""

    def __init__(self, config: PushTConfig, beside: float) -> None:
        super().__init__(ROBOT, config)
        self._beside = beside

    def sense(self, state: State, goal: Goal) -> Signals:
        signals = super().sense(state, goal)
        place = signals["block_position"]
        return {**signals, "block_position": place + place.new_tensor((self._beside, 0.0))}


def task_of(case: Case, episodes: int, seed: int, options: Options) -> PushT:
    """Push-T from so many starts."""
    random = np.random.default_rng(seed)
    solved = options.solved and case == CASES[USUAL]
    boxes = replace(case, block=(_SOLVED,)) if solved else case

    def place(choice: tuple[Box, ...]) -> tuple[float, float]:
        x, y = choice[random.integers(len(choice))]
        return random.uniform(*x), random.uniform(*y)

    def start() -> Start:
        angle = GOAL[2] if solved else random.uniform(-math.pi, math.pi)
        return *place(boxes.disc), *place(boxes.block), angle

    starts = tuple(start() for _ in range(episodes))
    return Seen(PushTConfig(starts=starts, episode_steps=options.steps), case.beside)


class Alone(Scorer):
    """One of a policy's scores."""

    def __init__(self, scorer: Scorer, column: int) -> None:
        super().__init__(scorer.policy, scorer.novelty, scorer.noise[0] if scorer.noise else 0)
        self._all, self._column = scorer, column

    @property
    def names(self) -> tuple[str, ...]:
        return self._all.names[self._column : self._column + 1]

    def of(self, episode: WatchedEpisode) -> Tensor:
        return self._all.of(episode)[:, self._column : self._column + 1]


Judge = tuple[Scorer, Monitor]


def judges(run: ChunkRun, config: MonitorConfig, tried: list[WatchedEpisode]) -> dict[str, Judge]:
    """The monitor, and what stands beside it, of the same episodes."""
    scorer, both = fit_monitor(run.policy, config, tried)
    _, usual, held_out = parts_of(tried)
    alone = [Alone(scorer, column) for column in range(len(scorer.names))]
    monitors = [calibrate(each, config, usual, held_out) for each in alone]
    apart = replace(both, scores=tuple(monitor.scores[0] for monitor in monitors))
    table = {BOTH: (scorer, both), EACH: (scorer, apart)}
    for each, monitor in zip(alone, monitors, strict=True):
        table[f"{each.names[0]} alone"] = (each, monitor)
    return table


def alarm_of(judge: Judge, episode: WatchedEpisode) -> int | None:
    """The control period of the first alarm; None for none."""
    scorer, monitor = judge[0], RuntimeMonitor(judge[1])
    for tick, row in zip(episode.ticks, scorer.of(episode).numpy(), strict=True):
        monitor.see(row)
        if monitor.alarm:
            return tick
    return None


@dataclass(kw_only=True)
class Counted:
    """What one judge said of the episodes of one case, over all runs. seconds: From the alarm to the end."""

    good: int = 0
    false_alarms: int = 0
    bad: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, judge: Judge, episode: WatchedEpisode, period_s: float) -> None:
        """An episode."""
        alarm = alarm_of(judge, episode)
        self.good += episode.succeeded
        self.bad += not episode.succeeded
        self.false_alarms += episode.succeeded and alarm is not None
        if alarm is not None and not episode.succeeded:
            self.seconds.append(period_s * (len(episode.embeddings) - alarm))


Table = dict[tuple[str, str], Counted]
"""Judge and case -> what was counted."""


def measure(options: Options, runs: tuple[Path, ...], console: Console) -> tuple[Table, list[int]]:
    """All runs' monitors on all cases, and by how many episodes each one's threshold was set."""
    table: Table = {}
    calibrated: list[int] = []
    for number, path in enumerate(runs):
        run, seed = load_chunk_run(path), SEED + 100 * number
        require_state(run.policy, path)
        config = MonitorConfig(false_alarms=options.false_alarms, window=options.window, seed=seed)
        watch = _watch(run, config, options)
        table_of_run = judges(run, config, watch(CASES[USUAL], options.known, seed))
        calibrated.append(table_of_run[BOTH][1].episodes)
        for place, (name, case) in enumerate(CASES.items()):
            count = options.usual if name == USUAL else options.unusual
            for episode in watch(case, count, seed + 1 + place):
                for judge, made in table_of_run.items():
                    counted = table.setdefault((judge, name), Counted())
                    counted.add(made, episode, ROBOT.control_period_s)
            console.print(f"{path}, {name}: judged")
    return table, calibrated


def _watch(run: ChunkRun, config: MonitorConfig, options: Options) -> Callable[[Case, int, int], list[WatchedEpisode]]:
    """Episodes of the run's policy: case, how many, seed."""
    executor = executor_of(run.policy)

    def watch(case: Case, episodes: int, seed: int) -> list[WatchedEpisode]:
        return watched_episodes(
            task_of(case, episodes, seed, options), run.policy, executor, config.chunks, episodes, seed
        )

    return watch


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


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    if not options.runs and not options.quick:
        sys.exit("bench-monitor: --runs RUN … says which; isthmus-train-chunks makes them")
    use_thread_budget()
    with tempfile.TemporaryDirectory() as temporary:
        runs = options.runs or (made_up(Path(temporary)),)
        table, calibrated = measure(options, runs, Console())
    return report("monitor", rows_of(table, calibrated, options.false_alarms), options)


if __name__ == "__main__":
    sys.exit(main())
