"""`make bench-gym-pusht`: policies of chunks for Push-T in an environment that others wrote, gym-pusht, and in ours.

The policies act in this process, gym-pusht in a Python of its own (`scripts/gym_pusht.sh`), where
`peers/gym_pusht_worlds.py` answers; all episodes go side by side. They begin as gym-pusht's own reset does with seeds
100000 to 100049, which are not the starts of the paper's environment with these seeds: those are `push_t-standard`.

All of a run's last policies are told of, and all together: the best of many is best by chance too. They begin alike, so
that the interval of all together speaks of these policies, not of another training.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, over_seeds, parse, report

import numpy as np
import torch
from chunk_trials import (
    PYTHON,
    SEED,
    GymPushT,
    Vector,
    greatest_coverage,
    gym_starts,
    made_up,
    policies_of,
    robot_of,
)

from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.runner import network_runner
from isthmus_policies.chunks.training.roll_outs import usual_execution
from isthmus_policies.chunks.training.run import load_chunk_run
from isthmus_policies.evaluation.evaluate import Evaluation, evaluate
from isthmus_policies.evaluation.intervals import Interval, mean_interval, wilson
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.push_t import STANDARD_SEEDS, SUCCESS
from isthmus_sim.threads import use_thread_budget

PUBLISHED = Row(
    metric="quoted: success of a published policy", value=60.0, unit="%", seeds=50,
    peer="FlowPush, a flow U-Net with 8 evaluations, from the state",
)  # fmt: skip
Bounds = tuple[str | None, str | None]
"""A bound for coverage and one for success."""
MUSTS: Bounds = (">= 0.8", ">= 40")
AIMS: Bounds = (">= 0.92", ">= 65")
PICTURES: Bounds = (">= 0.86", None)
"""The aim for policies that see the picture of the table; nothing must be."""


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Judge the last policies of runs in gym-pusht and here."""

    runs: tuple[Path, ...] = ()
    """Folders of runs, each another seed; they observe the state, or the picture of the table. --quick makes one up."""
    python: Path = PYTHON
    """The Python that has gym-pusht."""
    episodes: int = 50
    """The first so many of the seeds."""
    steps: int = 300
    """Control steps of an episode in gym-pusht."""


QUICK = Options(episodes=2, steps=20)


def judged_here(policy: ChunkPolicy, task: Task, episodes: int) -> Evaluation:
    """The same in our simulator."""
    execution = usual_execution(policy, SEED)
    return evaluate(task, lambda env: network_runner(policy, env, execution), episodes, SEED)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One policy: greatest coverage (n,) in gym-pusht, and here, from the same starts and from the paper's."""

    steps: int
    sees: bool
    """Whether it sees the picture of the table."""
    coverage: Vector
    here: Evaluation
    standard: Evaluation


def judge(file: Path, worlds: GymPushT, episodes: int, steps: int) -> Judged:
    """Raises ValueError for a policy that is not for Push-T."""
    run = load_chunk_run(file)
    policy, seeds = run.policy, STANDARD_SEEDS[:episodes]
    robot = robot_of(policy, file)
    return Judged(
        steps=run.facts["steps"],
        sees=bool(policy.spec.cameras),
        coverage=greatest_coverage(policy, worlds, seeds, steps),
        here=judged_here(policy, gym_starts(len(seeds), robot=robot), len(seeds)),
        standard=judged_here(policy, make_task("push_t-standard", robot=robot), len(seeds)),
    )


def beside(told: list[tuple[float, float]], shown: str) -> str:
    """Our simulator's numbers: from the same starts and from the paper's, mean of the policies."""
    here, standard = np.mean(told, axis=0)
    return f"here, same starts {here:{shown}}; push_t-standard {standard:{shown}}"


def rows_of_one(name: str, judged: list[Judged]) -> list[Row]:
    """Coverage and success over all episodes of one or several policies."""
    covered = np.concatenate([each.coverage for each in judged])
    n = len(covered)

    def row(metric: str, found: Interval, unit: str, peer: str) -> Row:
        low, value, high = found
        return Row(metric=metric, value=value, unit=unit, spread=(low, high), seeds=n, peer=peer)

    peaks = [(_peak(each.here), _peak(each.standard)) for each in judged]
    successes = [(100 * each.here.success[1], 100 * each.standard.success[1]) for each in judged]
    low, share, high = wilson(int((covered > SUCCESS).sum()), n)
    return [
        row(f"{name}: greatest coverage, 95 % interval", mean_interval(torch.from_numpy(covered)), "",
            beside(peaks, ".3f")),
        row("… success, 95 % interval", (100 * low, 100 * share, 100 * high), "%", beside(successes, ".0f")),
    ]  # fmt: skip


def _peak(evaluation: Evaluation) -> float:
    interval = evaluation.peak["coverage"]
    assert interval is not None, "an evaluation has at least two episodes"
    return interval[1]


def rows_of(runs: dict[str, list[Judged]]) -> list[Row]:
    """The policies of each run, name -> policies, all of a run together, and all runs beside what is published."""
    rows = [row for name, judged in runs.items() for row in rows_of_run(name, judged)]
    together = [each for judged in runs.values() for each in judged]
    bounds = ((None, None), PICTURES) if together[0].sees else (MUSTS, AIMS)
    quoted = [] if together[0].sees else [PUBLISHED]
    return [*rows, *rows_over_runs(list(runs.values()), *bounds), apart(together), *quoted]


def rows_of_run(name: str, judged: list[Judged]) -> list[Row]:
    """Each policy, and all together."""
    rows = [row for each in judged for row in rows_of_one(f"{name}, step {each.steps}", [each])]
    return [*rows, *rows_of_one(f"{name}, the last {len(judged)} together", judged)]


def rows_over_runs(runs: list[list[Judged]], musts: Bounds, aims: Bounds = AIMS, of: str = "") -> list[Row]:
    """Coverage and success of runs, each the mean of its last policies: what bounds judge."""
    coverage = [float(np.mean([each.coverage.mean() for each in run])) for run in runs]
    success = [100 * float(np.mean([(each.coverage > SUCCESS).mean() for each in run])) for run in runs]
    return [
        over_seeds(f"{of}coverage, mean of a run's last policies, all runs", coverage, "", must=musts[0], aim=aims[0]),
        over_seeds(f"{of}success, the same", success, "%", must=musts[1], aim=aims[1]),
    ]


def apart(judged: list[Judged]) -> Row:
    """How far our simulator is from gym-pusht for who compares policies in it."""
    here = float(np.mean([_peak(each.here) for each in judged]))
    there = np.concatenate([each.coverage for each in judged])
    off = abs(here - float(there.mean()))
    return Row(metric="… coverage here, same starts, off by", value=off, unit="", seeds=len(there), must="<= 0.05")


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    if not options.python.exists():
        print(f"there is no {options.python}: scripts/gym_pusht.sh makes it")
        return 0
    if not options.runs and not options.quick:
        sys.exit("bench-gym-pusht: --runs FOLDER … says whose policies; isthmus-train-chunks makes them")
    with tempfile.TemporaryDirectory() as temporary, GymPushT(options.python) as worlds:
        judged = {
            run.name: [judge(file, worlds, options.episodes, options.steps) for file in policies_of(run)]
            for run in options.runs or (made_up(Path(temporary)),)
        }
    if len({each.sees for policies in judged.values() for each in policies}) > 1:
        sys.exit("bench-gym-pusht: some runs see the picture of the table and some do not: judge them by themselves")
    sees = next(iter(judged.values()))[0].sees
    return report("gym_pusht_pictures" if sees else "gym_pusht", rows_of(judged), options)


if __name__ == "__main__":
    sys.exit(main())
