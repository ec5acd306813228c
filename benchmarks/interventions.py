"""`make bench-interventions`: what a learner gets out of somebody who takes over, and of demonstrations.

An arm reaches for a cube whose place is known (`reach_cube`, groups "actor" and "cube"). First SAC learns it with the
task's reward: its weights on the way, where some half of the episodes succeed, are the intervener, and those at the end
the judge, whose critics say when to take over. Then, with each seed:

- RLIF: SAC, rewarded by nothing but -1 where the intervener takes over; half of each batch from episodes of the
  intervener, successes and failures, and from its interventions.
- HG-DAgger: the same actor imitates the same episodes and interventions, in as many gradient steps, and acts meanwhile.
- cloning: it imitates these episodes alone, in as many gradient steps.
- RLPD: SAC with the task's reward and half of each batch from episodes of the judge; beside SAC without them.

Success is that of the mean action, of whole episodes that are the same for everyone.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common import BenchOptions, Row, over_seeds, parse, report

import torch
from shown import EVALUATION_SEED, Dagger, cloned, difference, learned, success

from isthmus_policies.algorithms.sac.config import SACConfig
from isthmus_policies.demonstrate import transitions
from isthmus_policies.evaluation.evaluate import evaluate
from isthmus_policies.evaluation.intervals import Interval
from isthmus_policies.evaluation.runners import NetworkRunner
from isthmus_policies.interventions.config import InterventionsConfig
from isthmus_policies.training.config import TrainConfig, default_config
from isthmus_policies.training.run import load_run
from isthmus_policies.training.trainer import Trainer

TASK = "reach_cube"
HALF = (0.35, 0.6)
DRIVEN = ": steps that the intervener drives, last tenth"


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Learn from interventions and demonstrations."""

    seeds: tuple[int, ...] = (401, 402, 403, 404, 405)
    """Training seeds of the learners."""
    reference_seed: int = 1
    """Training seed of judge and intervener."""
    reference_steps: int = 40_000
    """Control steps, of all worlds, after which the judge is what it is."""
    steps: int = 24_000
    """Control steps of a learner that is taken over from."""
    task_steps: int = 10_000
    """Control steps of a learner of the task's reward, with and without demonstrations."""
    worlds: int = 32
    demonstrations: int = 20
    """Episodes that are shown."""
    margin: float = 1.5
    """What an action must be worth less than the judge's own to be minded."""
    probability: float = 0.3
    """That the intervener takes over upon an action that it minds."""
    duration: int = 5
    """Control steps that it then drives."""
    episodes: int = 200
    """Episodes of an evaluation."""


QUICK = Options(seeds=(401,), reference_steps=768, steps=768, task_steps=768, worlds=16, demonstrations=4, episodes=8)


def configured(options: Options, seed: int, steps: int, **algorithm: Any) -> TrainConfig[Any, Any, Any]:
    """Small networks learn this within two minutes on a core."""
    config = default_config(TASK, algorithm="sac")
    settings = {"replay_steps": 2048, "warm_up": 1024, "initial_temperature": 0.1} | algorithm
    sac = replace(config.algorithm, **settings)
    return replace(
        config, robot="so101", seed=seed, num_envs=options.worlds,
        iterations=max(1, steps // (options.worlds * sac.collect_steps)), algorithm=sac,
        policy=replace(config.policy, actor_groups=("actor", "cube"), actor=(64, 64), critic=(64, 64)),
    )  # fmt: skip


def reference(options: Options, folder: Path) -> dict[str, Path]:
    """Runs of the judge and of the intervener, who is the judge on the way."""
    trainer = Trainer(configured(options, options.reference_seed, options.reference_steps, warm_up=2048))
    runs = {name: folder / name for name in ("intervener", "judge")}
    for run in runs.values():
        run.mkdir()
    every, halfway = max(1, trainer.config.iterations // 20), False
    while trainer.iteration < trainer.config.iterations:
        trainer.iterate()
        if halfway or trainer.iteration % every:
            continue
        _, share, _ = success(trainer, options.episodes // 2)
        print(f"reference: {trainer.steps} steps, success {share:.1%}", flush=True)
        halfway = HALF[0] <= share <= HALF[1] or options.quick
        if halfway:
            trainer.save(runs["intervener"])
    trainer.save(runs["judge"])
    trainer.close()
    if not halfway:
        sys.exit("bench-interventions: no intervener of about half the success came by: take another --reference-seed")
    return runs


def show(run: Path, dataset: Path, options: Options) -> Path:
    """Episodes of a run, as demonstrations."""
    told = transitions.record(transitions.Options(run=run, dataset=dataset, episodes=options.demonstrations))
    print(told, flush=True)
    return dataset


def judged(run: Path, options: Options) -> Interval:
    """How good a run is, over many episodes."""
    what = load_run(run)
    episodes = 3 * options.episodes
    return evaluate(what.task, lambda env: NetworkRunner(what.policy, env), episodes, EVALUATION_SEED).success


Found = dict[str, list[float]]
"""Name -> success with each seed, %; and with `DRIVEN`, which share of the last steps somebody else drove, %."""


def learners(options: Options, folder: Path, runs: dict[str, Path]) -> Iterator[Found]:
    """What is known after each seed."""
    half, good = (show(runs[name], folder / f"by_{name}", options) for name in ("intervener", "judge"))
    takes_over = InterventionsConfig(
        teacher=runs["intervener"], judge=runs["judge"], margin=options.margin, probability=options.probability,
        duration=options.duration,
    )  # fmt: skip
    interactive: dict[str, Any] = {"demonstrations": (half,), "interventions": takes_over}
    found: Found = {}
    for seed in options.seeds:
        rlif = configured(options, seed, options.steps, **interactive, reward="takeovers")
        task = configured(options, seed, options.task_steps)
        rlpd = replace(task, algorithm=replace(task.algorithm, demonstrations=(good,)))
        trained = {
            "RLIF": lambda c=rlif: learned(c),
            "HG-DAgger": lambda c=rlif: learned(c, Dagger),
            "cloning": lambda c=rlif: cloned(replace(c, algorithm=_alone(c.algorithm))),
            "RLPD": lambda c=rlpd: learned(c),
            "SAC": lambda c=task: learned(c),
        }
        for name, make in trained.items():
            trainer, rates = make()
            _, share, _ = success(trainer, options.episodes)
            found.setdefault(name, []).append(100 * share)
            if late := rates[-max(1, len(rates) // 10) :]:
                found.setdefault(name + DRIVEN, []).append(100 * statistics.mean(late))
            print(f"seed {seed}: {name} {share:.1%}", flush=True)
        yield found


def _alone(config: SACConfig) -> SACConfig:
    """The same without anybody who takes over."""
    return replace(config, interventions=InterventionsConfig(), reward="task")


def rows(found: Found, intervener: Interval, judge: Interval, options: Options) -> list[Row]:
    """What is reported. Bounds allow for how well the intervener's own success is known."""
    low, share, high = (100 * value for value in intervener)
    seeds, bound, n = len(found["RLIF"]), f"{high - share:.3g}", 3 * options.episodes
    imitating = statistics.mean(found["HG-DAgger"]) - share
    after = f"success after {options.task_steps} steps"
    interactive = ("RLIF", "HG-DAgger")
    return [
        Row(metric="success: intervener", value=share, unit="%", spread=(low, high), peer=f"95 %, {n} episodes"),
        Row(metric="success: judge", value=100 * judge[1], unit="%", spread=(100 * judge[0], 100 * judge[2]),
            peer=f"95 %, {n} episodes"),
        *(over_seeds(f"success: {name}", found[name], "%") for name in (*interactive, "cloning")),
        difference("RLIF less the intervener", found["RLIF"], [share] * seeds, must=f">= {bound}"),
        difference("RLIF less HG-DAgger", found["RLIF"], found["HG-DAgger"], must=">= 0"),
        Row(metric="HG-DAgger less the intervener, mean", value=imitating, unit="points", seeds=seeds,
            must=f"<= {bound}", peer="the bound: half the interval of the intervener's success"),
        *(over_seeds(name + DRIVEN, found[name + DRIVEN], "%") for name in interactive),
        *(over_seeds(f"{after}: {name}", found[name], "%") for name in ("RLPD", "SAC")),
        difference("RLPD less SAC", found["RLPD"], found["SAC"]),
    ]  # fmt: skip


def main() -> int:
    """Entry point; 1 when a must is missed. Seeds take minutes each: what is known is written to runs/ after each."""
    options, missed = parse(Options(), QUICK), 0
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        runs = reference(options, Path(folder))
        intervener, judge = (judged(runs[name], options) for name in ("intervener", "judge"))
        print(f"intervener {intervener[1]:.1%}, judge {judge[1]:.1%}", flush=True)
        for found in learners(options, Path(folder), runs):
            last = len(found["RLIF"]) == len(options.seeds)
            told = replace(options, save=options.save and last)
            missed = report("interventions", rows(found, intervener, judge, options), told)
    return missed


if __name__ == "__main__":
    sys.exit(main())
