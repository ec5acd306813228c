"""`make bench-rough`: how the quadruped fares on every kind and level of rough ground.

Trains `quadruped-rough` with its defaults, or takes a finished run. Robots start in the middle of their tile and are
told where to go as in training, pushed and loaded; an episode is 20 s long, every world's first one counts. A success
is on its feet to the end and goes as told: off by at most `AS_TOLD` on average, which nobody is who stands still.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, parse, report, training

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from isthmus_policies.evaluation.evaluate import levels
from isthmus_policies.evaluation.runners import NetworkRunner
from isthmus_policies.training.run import load_run
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.scenes.terrain import KINDS
from isthmus_sim.threads import one_torch_thread, use_thread_budget

TASK = "quadruped-rough"
EVALUATION_SEED = 66_000
AS_TOLD = 0.3
"""m/s."""


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Train on rough ground and measure."""

    run: Path | None = None
    """A finished run to judge; without it one is trained."""
    seed: int = 401
    """Seed of the training."""
    iterations: int | None = None
    """Iterations of the training instead of the task's."""
    episodes: int = 20
    """Episodes on every kind and level of ground."""


QUICK = Options(iterations=1, episodes=1)


def train(options: Options, folder: Path) -> None:
    """A run with the task's defaults."""
    subprocess.run(training(TASK, options.seed, folder, options.iterations), check=True)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Every world's first episode, (kinds, levels, episodes): whether it fell, and its mean velocity error, m/s."""

    fell: Tensor
    error: Tensor
    trained: str


def judge(folder: Path, episodes: int) -> Outcome:
    """Walk on all ground at once."""
    run = load_run(folder, task=TASK)
    task = run.task
    shape = (episodes, task.levels, len(KINDS))
    n = shape[0] * shape[1] * shape[2]
    env = Env(task, make_engine(task.scene, n, run.engine), EVALUATION_SEED, measure=True)
    env.level = levels(task, n)  # the task keeps world i to kind i % len(KINDS)
    runner = NetworkRunner(run.policy, env)
    going, fell = torch.ones(n, dtype=torch.bool), torch.zeros(n, dtype=torch.bool)
    steps, missed = torch.zeros(n), torch.zeros(n)
    for _ in track(range(task.episode_steps), "walking"):
        with one_torch_thread():
            step = runner.step(env)
        fell |= going & step.terminated
        going[step.ended] = False
        steps += going
        missed += torch.where(going, step.metrics["velocity_error_mps"], 0.0)
    env.close()
    trained = run.facts["steps"] / 1e6
    return Outcome(
        fell=fell.view(shape).permute(2, 1, 0),
        error=(missed / steps.clamp_min(1.0)).view(shape).permute(2, 1, 0),
        trained=f"{trained:.1f}M steps, {run.facts['seconds'] / 60:.0f} min",
    )


def rows_of(outcome: Outcome) -> list[Row]:
    """All ground together, then success kind by kind and level by level."""
    success = 100.0 * (~outcome.fell & (outcome.error <= AS_TOLD)).float()
    kinds, levels, episodes = success.shape
    walked = float(outcome.error[~outcome.fell].mean())
    n = kinds * levels * episodes
    peer = outcome.trained
    return [
        Row(metric="success", value=float(success.mean()), unit="%", seeds=n, peer=peer),
        Row(metric="falls", value=100 * float(outcome.fell.float().mean()), unit="%", seeds=n, peer=peer),
        Row(metric="velocity error of those that did not fall", value=walked, unit="m/s", seeds=n, peer=peer),
    ] + [
        Row(metric=f"{KINDS[k]}, level {i + 1}", value=float(success[k, i].mean()), unit="%", seeds=episodes)
        for k in range(kinds)
        for i in range(levels)
    ]


def table(outcome: Outcome) -> Table:
    """Success and falls, a line per kind, a column per level."""
    success = ~outcome.fell & (outcome.error <= AS_TOLD)
    grid = Table(title="success (falls), %", title_justify="left")
    grid.add_column("ground")
    for level in range(success.shape[1]):
        grid.add_column(f"level {level + 1}", justify="right")
    shares = (100 * torch.stack((success, outcome.fell), dim=-1).float().mean(2)).tolist()
    for name, cells in zip(KINDS, shares, strict=True):
        grid.add_row(name, *(f"{good:.0f} ({fell:.0f})" for good, fell in cells))
    return grid


def main() -> int:
    """Entry point."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.run or Path(temporary) / "run"
        if options.run is None:
            train(options, folder)
        outcome = judge(folder, options.episodes)
    Console(width=120).print(table(outcome))
    return report("rough", rows_of(outcome), options)


if __name__ == "__main__":
    sys.exit(main())
