"""`make bench-gym-pusht`: policies of chunks for Push-T in an environment that others wrote, gym-pusht, and in ours.

The policies act in this process, gym-pusht in a Python of its own (`scripts/gym_pusht.sh`), where
`peers/gym_pusht_worlds.py` answers; all episodes go side by side. They begin as gym-pusht's own reset does with seeds
100000 to 100049, which are not the starts of the paper's environment with these seeds: those are `push_t-standard`.

All of a run's last policies are told of, and all together: the best of many is best by chance too. They begin alike, so
that the interval of all together speaks of these policies, not of another training.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from common import BenchOptions, Row, parse, report

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.columns import STATE_COLUMN, RobotColumns
from isthmus_policies.chunks.runner import history, network_runner, policy_driver, see_
from isthmus_policies.chunks.training.config import Learning, default_config
from isthmus_policies.chunks.training.roll_outs import usual_execution
from isthmus_policies.chunks.training.run import load_chunk_run, policy_files
from isthmus_policies.chunks.training.trainer import ChunkTrainer
from isthmus_policies.evaluation.evaluate import Evaluation, evaluate
from isthmus_policies.evaluation.intervals import Interval, mean_interval, wilson
from isthmus_sim.robots.pusher.description import ROBOT
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.push_t import STANDARD_SEEDS, SUCCESS, PushT, PushTConfig, gym_pusht_start
from isthmus_sim.threads import one_torch_thread, use_thread_budget

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".gym-pusht/bin/python"
PEER = ROOT / "benchmarks/peers/gym_pusht_worlds.py"
SEED = 0  # of the noise that policies draw
PUBLISHED = Row(
    metric="quoted: success of a published policy", value=60.0, unit="%", seeds=50,
    peer="FlowPush, a flow U-Net with 8 evaluations, from the state",
)  # fmt: skip

Vector = NDArray[np.float64]


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


class GymPushT:
    """Worlds of gym-pusht in another Python; a context manager.

    Args:
        python: Which has it.
    """

    def __init__(self, python: Path) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process: subprocess.Popen[str] = subprocess.Popen([str(python), str(PEER)], **pipes)
        self.seconds = 0.0
        """How long gym-pusht itself has taken for its steps."""

    def __enter__(self) -> GymPushT:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate()  # the end of its input ends it

    def begin(self, starts: Sequence[int] | Sequence[Sequence[float]]) -> Vector:
        """A world for each: as gym-pusht's reset with a seed leaves it, or at rest in a state (5,) px and rad. Returns
        states (n, 5)."""
        return np.array(self._ask({"begin": list(starts)})["states"])

    def step(self, actions: Vector, going: NDArray[np.bool_] | None = None) -> tuple[Vector, Vector]:
        """A control step towards actions (n, 2) px, in the worlds that are `going` (n,), by default all.

        Returns states (n, 5) and coverage (n,), which is not a number in worlds that are not going.
        """
        goes = np.ones(len(actions), bool) if going is None else going
        told = [action if go else None for action, go in zip(actions.tolist(), goes, strict=True)]
        answer = self._ask({"step": told})
        self.seconds += answer["seconds"]
        return np.array(answer["states"]), np.array(answer["coverage"], float)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Raises RuntimeError where it has ended, after saying why."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(request), file=self._process.stdin, flush=True)
        if not (line := self._process.stdout.readline()):
            raise RuntimeError("gym-pusht has ended; what it said is above")
        return json.loads(line)


def greatest_coverage(policy: ChunkPolicy, worlds: GymPushT, seeds: Sequence[int], steps: int) -> Vector:
    """(n,): of an episode from each seed, which ends where the goal is covered."""
    states = worlds.begin(seeds)
    driver = policy_driver(policy, len(seeds), usual_execution(policy, SEED))
    seen, none = history(_row(states), policy.spec.observed), torch.zeros(len(seeds), dtype=torch.bool)
    greatest, going = np.zeros(len(seeds)), np.ones(len(seeds), bool)
    for _ in range(steps):
        with one_torch_thread():
            actions = driver.actions(seen)
        states, covered = worlds.step(actions.double().numpy(), going)
        see_(seen, _row(states), fresh=none)
        greatest, going = np.fmax(greatest, covered), going & (covered <= SUCCESS)
        if not going.any():
            break
    return greatest


def _row(states: Vector) -> dict[str, Tensor]:
    return {STATE_COLUMN: torch.from_numpy(states).float()}


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
    RobotColumns(policy.spec, ROBOT)
    if policy.spec.cameras:
        raise ValueError(f"{file} observes {', '.join(policy.spec.cameras)}: only the state is shown here")
    same = PushT(ROBOT, PushTConfig(starts=tuple(gym_pusht_start(seed) for seed in seeds)))
    return Judged(
        steps=run.facts["steps"],
        coverage=greatest_coverage(policy, worlds, seeds, options.steps),
        here=judged_here(policy, same, len(seeds)),
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


def made_up(folder: Path) -> Path:
    """A run that has learned a little of nothing."""
    random = np.random.default_rng(0)
    features = {name: Feature(dtype="float32", shape=(size,)) for name, size in ((STATE_COLUMN, 5), ("action", 2))}
    with DatasetWriter.create(folder / "data", fps=10, features=features, robot_type=ROBOT.name) as writer:
        for _ in range(4):
            rows = {name: random.uniform(0.0, 500.0, (20, *feature.shape)) for name, feature in features.items()}
            columns = {name: row.astype(np.float32) for name, row in rows.items()}
            writer.append(Episode(columns=columns, task="push the T"))
    learning = Learning(steps=20, batch_size=16)
    trainer = ChunkTrainer(default_config((folder / "data",), validation=0.25, learning=learning))
    for _ in range(learning.steps):
        trainer.step()
    trainer.save(folder / "run")
    return folder / "run"


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
