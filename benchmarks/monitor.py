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
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from common import BenchOptions, parse, report

import numpy as np
from chunk_trials import made_up, require_state
from monitoring.judging import BOTH, USUAL, Counted, Table, judges, rows_of
from rich.console import Console

from isthmus_policies.chunks.monitor.fit import ChunkMonitorConfig, fit_monitor
from isthmus_policies.chunks.monitor.watched import WatchedEpisode, watched_episodes
from isthmus_policies.chunks.runner import executor_of
from isthmus_policies.chunks.training.run import ChunkRun, load_chunk_run
from isthmus_sim.engine import State
from isthmus_sim.robots.pusher.description import GOAL, ROBOT
from isthmus_sim.sensors import Signals
from isthmus_sim.task import Goal
from isthmus_sim.tasks.push_t import PushT, PushTConfig, Start
from isthmus_sim.threads import use_thread_budget

SEED = 43_000
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
    window: int = ChunkMonitorConfig.window
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


def measure(options: Options, runs: tuple[Path, ...], console: Console) -> tuple[Table, list[int]]:
    """All runs' monitors on all cases, and by how many episodes each one's threshold was set."""
    table: Table = {}
    calibrated: list[int] = []
    for number, path in enumerate(runs):
        run, seed = load_chunk_run(path), SEED + 100 * number
        require_state(run.policy, path)
        config = ChunkMonitorConfig(false_alarms=options.false_alarms, window=options.window, seed=seed)
        watch = _watch(run, config, options)
        tried = watch(CASES[USUAL], options.known, seed)
        table_of_run = judges(*fit_monitor(run.policy, config, tried), config, tried)
        calibrated.append(table_of_run[BOTH][1].episodes)
        for place, (name, case) in enumerate(CASES.items()):
            count = options.usual if name == USUAL else options.unusual
            for episode in watch(case, count, seed + 1 + place):
                for judge, made in table_of_run.items():
                    counted = table.setdefault((judge, name), Counted())
                    counted.add(made, episode, episode.ticks, len(episode.embeddings), ROBOT.control_period_s)
            console.print(f"{path}, {name}: judged")
    return table, calibrated


def _watch(
    run: ChunkRun, config: ChunkMonitorConfig, options: Options
) -> Callable[[Case, int, int], list[WatchedEpisode]]:
    """Episodes of the run's policy: case, how many, seed."""
    executor = executor_of(run.policy)

    def watch(case: Case, episodes: int, seed: int) -> list[WatchedEpisode]:
        return watched_episodes(
            task_of(case, episodes, seed, options), run.policy, executor, config.chunks, episodes, seed
        )

    return watch


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
