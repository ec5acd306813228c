"""`make bench-steering`: what a scorer is worth to a policy that learned from demonstrations of which some are spoiled.

Three of ten demonstrations are by a hand without skill, and nearly all of those fail; each is told to be a success or a
failure. A flow policy learns from all of them alike, as does cloning, whose chunks for an observation are all the same
one: choosing among those changes nothing. A scorer learns from the same demonstrations and what is told of them. Then,
with nothing trained again, of K chunks the best by the scorer is done, or any, or the one most like the others. The
latter knows nothing of success: it is good where most of what is shown is good, as here.

Each seed has demonstrations and trainings of its own; all ways to choose are judged on the same starts. The world is a
point that has to go through two gates (`gates.py`): with Push-T, five seeds would take hours on two busy cores.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median

from common import BenchOptions, Row, over_seeds, parse, report

import torch
from gates import STATE, demonstrate, roll_out
from rich.console import Console

from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.denoisers.mlp import MlpConfig
from isthmus_policies.chunks.steering.best_of import best_of, mode_of, random_of
from isthmus_policies.chunks.steering.iql import IqlConfig, IqlScorer
from isthmus_policies.chunks.steering.training.config import ScorerConfig
from isthmus_policies.chunks.steering.training.run import load_scorer
from isthmus_policies.chunks.steering.training.trainer import ScorerTrainer
from isthmus_policies.chunks.training.config import Learning, default_config
from isthmus_policies.chunks.training.run import load_chunk_run
from isthmus_policies.chunks.training.trainer import ChunkTrainer
from isthmus_policies.evaluation.intervals import Interval, wilson
from isthmus_sim.threads import use_thread_budget

EVALUATION_SEED = 77_000
HORIZON, EXECUTE = 8, 4
JUDGED = 10
"""The best of so many chunks must be better than any of them."""
ONE, CLONING = "one chunk", "cloning"
TIMED = 15
"""Chunks whose times are measured, in turns."""


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Record demonstrations, train a policy, its control and a scorer with each seed, and compare ways to choose."""

    seeds: tuple[int, ...] = (701, 702, 703, 704, 705)
    """Seeds of demonstrations and trainings."""
    demonstrations: int = 100
    spoiled: float = 0.3
    """Share of the demonstrations that are by a hand without skill."""
    counts: tuple[int, ...] = (4, JUDGED, 50)
    """K: chunks of which one is done, beside 1."""
    steps: int = 1_500
    """Batches from which each policy learns."""
    scorer_steps: int = 1_500
    """Batches from which the scorer learns."""
    episodes: int = 200
    """Episodes of an evaluation."""


QUICK = Options(
    seeds=(701,), demonstrations=8, spoiled=0.5, counts=(JUDGED,), steps=20, scorer_steps=20, episodes=4
)  # fmt: skip


@dataclass(kw_only=True)
class Outcome:
    """What one way to choose came to, seed by seed."""

    success: list[Interval] = field(default_factory=list)
    """Share of episodes, from 0 to 1."""
    ratio: list[float] = field(default_factory=list)
    """How many times as long as one chunk of its policy a chunk for one robot takes."""

    @property
    def percent(self) -> list[float]:
        return [100 * middle for _, middle, _ in self.success]


Table = dict[str, Outcome]
"""Way to choose, such as "best of 10" -> what it came to."""


def learned(root: Path, options: Options, seed: int, method: str) -> ChunkPolicy:
    """A policy of all demonstrations in `root`."""
    learning = Learning(steps=options.steps, batch_size=128, rate=1e-3, warmup=min(100, options.steps // 2))
    config = default_config((root,), method, horizon=HORIZON, seed=seed, validation=0.25, learning=learning)
    trainer = ChunkTrainer(replace(config, denoiser=MlpConfig(width=128, depth=2)))
    for _ in range(options.steps):
        trainer.step()
    run = root.with_name(method)
    trainer.save(run)
    return load_chunk_run(run).policy


def scored(root: Path, options: Options, seed: int) -> IqlScorer:
    """A scorer of all demonstrations in `root` and of what is told of them. Fewer batches than usual need targets that
    follow faster."""
    config = ScorerConfig(
        datasets=(root,), execute=EXECUTE, steps=options.scorer_steps, batch_size=128, rate=1e-3, seed=seed,
        iql=IqlConfig(width=128, target_rate=0.02),
    )  # fmt: skip
    trainer = ScorerTrainer(config)
    for _ in range(options.scorer_steps):
        trainer.step()
    run = root.with_name("scorer")
    trainer.save(run)
    return load_scorer(run).scorer


def ways(flow: ChunkPolicy, cloning: ChunkPolicy, scorer: IqlScorer, counts: tuple[int, ...]) -> dict[str, ChunkPolicy]:
    """Way to choose -> the policy that does."""
    chosen = {
        f"{way} of {n}": make(flow, n)
        for way, make in {"best": partial(best_of, scorer=scorer), "random": random_of, "mode": mode_of}.items()
        for n in counts
    }
    return {ONE: flow, **chosen, CLONING: cloning, f"{CLONING}, best of {JUDGED}": best_of(cloning, JUDGED, scorer)}


def times(policies: dict[str, ChunkPolicy]) -> dict[str, float]:
    """Median seconds of a chunk for one robot, measured in turns."""
    seen = {STATE: torch.zeros(1, 2, 2)}
    found: dict[str, list[float]] = {name: [] for name in policies}
    with torch.no_grad():
        for _ in range(TIMED):
            for name, policy in policies.items():
                begun = time.perf_counter()
                policy.sample(seen)
                found[name].append(time.perf_counter() - begun)
    return {name: median(each) for name, each in found.items()}


def measure(options: Options, seed: int, table: Table, console: Console) -> float:
    """Demonstrate, train and judge with one seed; the share of the demonstrations that succeed, %."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "demonstrations"
        succeeded = demonstrate(root, options.demonstrations, options.spoiled, seed)
        flow, cloning = (learned(root, options, seed, method) for method in ("flow", "cloning"))
        policies = ways(flow, cloning, scored(root, options, seed), options.counts)
    seconds = times(policies)
    for name, policy in policies.items():
        good = roll_out(policy, options.episodes, EXECUTE, EVALUATION_SEED + seed)
        outcome, base = table.setdefault(name, Outcome()), CLONING if name.startswith(CLONING) else ONE
        outcome.success.append(wilson(good, options.episodes))
        outcome.ratio.append(seconds[name] / seconds[base])
        console.print(f"seed {seed}, {name}: {outcome.percent[-1]:.1f} %")
    return 100 * succeeded


def rows_of(table: Table, demonstrated: list[float], counts: tuple[int, ...]) -> list[Row]:
    """Success of each way, its gains, and what it costs."""
    rows = [over_seeds("demonstrations that succeed", demonstrated, "%")]
    rows += [
        over_seeds(f"success, {name}", each.percent, "%", peer=intervals(each.success)) for name, each in table.items()
    ]
    for n in counts:
        bound = ">= 10" if n == JUDGED else None
        rows.append(difference(table, f"best of {n}", f"random of {n}", must=bound))
        rows.append(difference(table, f"best of {n}", f"mode of {n}"))
    rows.append(difference(table, f"{CLONING}, best of {JUDGED}", CLONING))
    named = (*(f"{way} of {n}" for n in counts for way in ("best", "random")),)
    return rows + [over_seeds(f"time of a chunk, {name}", table[name].ratio, "x one chunk's") for name in named]


def difference(table: Table, name: str, other: str, must: str | None = None) -> Row:
    """Success of one way less that of another, paired by seed, in points."""
    points = [a - b for a, b in zip(table[name].percent, table[other].percent, strict=True)]
    return over_seeds(f"{name} less {other}", points, "points", must=must)


def intervals(success: list[Interval]) -> str:
    """The 95 % interval of each seed (Wilson), %."""
    return "95 %: " + ", ".join(f"{100 * low:.0f}–{100 * high:.0f}" for low, _, high in success)


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    table, console = Table(), Console()
    demonstrated = [measure(options, seed, table, console) for seed in options.seeds]
    return report("steering", rows_of(table, demonstrated, options.counts), options)


if __name__ == "__main__":
    sys.exit(main())
