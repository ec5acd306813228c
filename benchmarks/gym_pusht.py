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

from common import BenchOptions, Row, parse, report

import numpy as np
import torch
from chunk_trials import PYTHON, SEED, GymPushT, Vector, greatest_coverage, gym_starts, made_up, require_state

from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.runner import network_runner
from isthmus_policies.chunks.training.roll_outs import usual_execution
from isthmus_policies.chunks.training.run import load_chunk_run, policy_files
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


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Judge a run's last policies in gym-pusht and here."""

    run: Path | None = None
    """Folder of the run; it must observe nothing but the state. --quick makes one up."""
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
    coverage: Vector
    here: Evaluation
    standard: Evaluation

    @property
    def name(self) -> str:
        return f"step {self.steps}"


def judge(file: Path, worlds: GymPushT, options: Options) -> Judged:
    """Raises ValueError for a policy that is not for Push-T, or observes more than the state."""
    run = load_chunk_run(file)
    policy, seeds = run.policy, STANDARD_SEEDS[: options.episodes]
    require_state(policy, file)
    return Judged(
        steps=run.facts["steps"],
        coverage=greatest_coverage(policy, worlds, seeds, options.steps),
        here=judged_here(policy, gym_starts(len(seeds)), len(seeds)),
        standard=judged_here(policy, make_task("push_t-standard"), len(seeds)),
    )


def beside(told: list[tuple[float, float]], shown: str) -> str:
    """Our simulator's numbers: from the same starts and from the paper's, mean of the policies."""
    here, standard = np.mean(told, axis=0)
    return f"here, same starts {here:{shown}}; push_t-standard {standard:{shown}}"


def rows_of_one(name: str, judged: list[Judged], aim: str | None = None) -> list[Row]:
    """Coverage and success over all episodes of one or several policies."""
    covered = np.concatenate([each.coverage for each in judged])
    n = len(covered)

    def row(metric: str, found: Interval, unit: str, aim: str | None, peer: str) -> Row:
        low, value, high = found
        return Row(metric=metric, value=value, unit=unit, spread=(low, high), seeds=n, aim=aim, peer=peer)

    peaks = [(_peak(each.here), _peak(each.standard)) for each in judged]
    successes = [(100 * each.here.success[1], 100 * each.standard.success[1]) for each in judged]
    low, share, high = wilson(int((covered > SUCCESS).sum()), n)
    return [
        row(f"{name}: greatest coverage, 95 % interval", mean_interval(torch.from_numpy(covered)), "", None,
            beside(peaks, ".3f")),
        row("… success, 95 % interval", (100 * low, 100 * share, 100 * high), "%", aim, beside(successes, ".0f")),
    ]  # fmt: skip


def _peak(evaluation: Evaluation) -> float:
    interval = evaluation.peak["coverage"]
    assert interval is not None, "an evaluation has at least two episodes"
    return interval[1]


def rows_of(judged: list[Judged]) -> list[Row]:
    """Each policy, and all together, beside what is published."""
    rows = [row for each in judged for row in rows_of_one(each.name, [each])] if len(judged) > 1 else []
    return [*rows, *rows_of_one(f"the last {len(judged)} together", judged, aim=">= 60"), apart(judged), PUBLISHED]


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
    if options.run is None and not options.quick:
        sys.exit("bench-gym-pusht: --run FOLDER says which run's policies; isthmus-train-chunks makes one")
    with tempfile.TemporaryDirectory() as temporary, GymPushT(options.python) as worlds:
        files = policy_files(options.run or made_up(Path(temporary)))
        judged = [judge(file, worlds, options) for file in files]
    return report("gym_pusht", rows_of(judged), options)


if __name__ == "__main__":
    sys.exit(main())
