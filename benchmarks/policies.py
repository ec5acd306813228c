"""`make bench-policies`: what a memory is worth to the quadruped at equal time.

All arms learn the same task with the same algorithm, actor and critic; they differ in what they know of the past:

    one step    the step before beside the current readings
    history     the task's own: three steps before
    gru         the step before, and a gated recurrent unit
    estimator   three steps before, and what a network makes of them: velocity and height of the base, forces and
                heights of the feet, which the robot cannot measure (Ji et al. 2022)

A first measurement tells how many iterations of each fit into the time. Then all train in this process in turns, so
that whatever else the machine does hits all of them, and what they really took is in the table. They are judged on
the same episodes of 20 s, with pushes, payloads and weak motors as in training; errors are of the last 40 % of those
that did not fall. Differences are paired by seed.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field, replace

from common import BenchOptions, Row, over_seeds, parse, report

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from isthmus_policies.evaluation.evaluate import Evaluation, evaluate
from isthmus_policies.evaluation.runners import NetworkRunner
from isthmus_policies.training.config import TrainConfig, default_config
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import use_thread_budget

TASK = "quadruped"
EVALUATION_SEED = 66_000
PROBES = 5
"""Iterations of the first measurement, after two that are not counted."""
BASELINE = "history"
VELOCITY, TURNING = "velocity_error_mps", "yaw_rate_error_radps"


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Train the quadruped with several policies for equally long and compare."""

    seeds: tuple[int, ...] = (401, 402, 403)
    """Training seeds."""
    minutes: float = 5.0
    """Training of each arm, min."""
    turns: int = 20
    """Turns in which the arms train."""
    episodes: int = 500
    """Episodes of an evaluation."""
    episode_steps: int = 1000
    """Control steps of an episode of an evaluation, 20 ms each."""
    worlds: int = 512
    """Worlds that each arm trains in."""
    units: int = 128
    """Units of the recurrent policy."""


QUICK = Options(seeds=(401,), minutes=0.01, turns=1, episodes=4, episode_steps=50, worlds=16)


@dataclass(kw_only=True)
class Outcome:
    """What one arm came to, seed by seed."""

    minutes: list[float] = field(default_factory=list)
    iterations: list[float] = field(default_factory=list)
    scores: list[Evaluation] = field(default_factory=list)

    @property
    def falls(self) -> list[float]:
        """Share of episodes that ended in a fall, %."""
        return [100 * score.failed[1] for score in self.scores]

    def error(self, name: str) -> list[float]:
        """Mean of a metric where it was steady; inf where all fell."""
        return [interval[1] if (interval := score.steady[name]) else math.inf for score in self.scores]


def arms(options: Options) -> dict[str, TrainConfig]:
    """How each arm is trained, by its name."""
    history, gru, estimator = (
        replace(default_config(TASK, policy), num_envs=options.worlds) for policy in ("mlp", "gru", "estimator")
    )
    one_step = replace(history.task, history=1)
    first, end = unmeasured(history)
    recurrent = replace(gru.policy, units=options.units, actor=(128,))
    told = replace(estimator.policy, estimator=(128,), first=first, end=end)
    return {
        "one step": replace(history, task=one_step),
        BASELINE: history,
        "gru": replace(gru, policy=recurrent, task=one_step),
        "estimator": replace(estimator, policy=told),
    }


def unmeasured(config: TrainConfig) -> tuple[int, int]:
    """Where in the critic's group velocity and height of the base, forces and heights of the feet are: after what the
    robot feels (gyro, gravity, joint positions and velocities), command, clock, average errors and targets."""
    robot = make_task(config.name, config.task).robot
    joints, feet = len(robot.joints), 4
    first = (3 + 3 + 2 * joints) + 5 + 3 + joints
    return first, first + 3 + 1 + 2 * feet


def paced(configs: dict[str, TrainConfig], options: Options, seed: int) -> dict[str, Trainer]:
    """A trainer of every arm, with as many iterations as fit into the time."""
    probes = {name: Trainer(replace(config, seed=seed)) for name, config in configs.items()}
    seconds = dict.fromkeys(configs, 0.0)
    for i in range(2 + PROBES):  # in turns, and the first ones do not count
        for name, trainer in probes.items():
            begun = time.perf_counter()
            trainer.iterate()
            seconds[name] += time.perf_counter() - begun if i >= 2 else 0.0
    for trainer in probes.values():
        trainer.env.close()
    iterations = {name: max(1, round(60 * options.minutes * PROBES / seconds[name])) for name in configs}
    return {name: Trainer(replace(config, seed=seed, iterations=iterations[name])) for name, config in configs.items()}


def measure(options: Options, seed: int, outcomes: dict[str, Outcome], console: Console) -> None:
    """Train every arm with one seed, in turns, and judge them."""
    trainers = paced(arms(options), options, seed)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        for turn in progress.track(range(options.turns), description=f"seed {seed}"):
            for trainer in trainers.values():
                while trainer.iteration < trainer.config.iterations * (turn + 1) // options.turns:
                    trainer.iterate()
    for name, trainer in trainers.items():
        outcome = outcomes[name]
        outcome.minutes.append(trainer.seconds / 60)
        outcome.iterations.append(trainer.iteration)
        with console.status(f"judging {name}"):
            task = make_task(TASK, replace(trainer.config.task, episode_steps=options.episode_steps))
            score = evaluate(
                task,
                lambda env, policy=trainer.policy: NetworkRunner(policy, env),
                options.episodes,
                EVALUATION_SEED,
                engine=trainer.config.engine,
            )
        outcome.scores.append(score)
        trainer.env.close()
        console.print(
            f"seed {seed}, {name}: {outcome.minutes[-1]:.1f} min, {trainer.iteration} iterations, "
            f"{outcome.falls[-1]:.1f} % fall, off {outcome.error(VELOCITY)[-1]:.3f} m/s"
        )


def rows(outcomes: dict[str, Outcome]) -> list[Row]:
    """The table, arm by arm, and differences from the history's."""
    table: list[Row] = []
    for name, outcome in outcomes.items():
        table += [
            over_seeds(f"{name}: training", outcome.minutes, "min"),
            over_seeds(f"{name}: iterations", outcome.iterations, ""),
            over_seeds(f"{name}: falls in an episode with pushes", outcome.falls, "%"),
            over_seeds(f"{name}: velocity error", outcome.error(VELOCITY), "m/s"),
            over_seeds(f"{name}: yaw rate error", outcome.error(TURNING), "rad/s"),
            over_seeds(f"{name}: reward per episode", [score.total_reward[1] for score in outcome.scores], ""),
        ]
    base = outcomes[BASELINE]
    for name, outcome in outcomes.items():
        if name != BASELINE:
            fallen = [a - b for a, b in zip(outcome.falls, base.falls, strict=True)]
            off = [a - b for a, b in zip(outcome.error(VELOCITY), base.error(VELOCITY), strict=True)]
            table.append(over_seeds(f"{name} less {BASELINE}: falls", fallen, "%"))
            if all(map(math.isfinite, off)):  # otherwise all episodes of a seed ended in a fall
                table.append(over_seeds(f"{name} less {BASELINE}: velocity error", off, "m/s"))
    return table


def main() -> int:
    """Entry point; there is no must: the table says what it says."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    console = Console()
    outcomes = {name: Outcome() for name in arms(options)}
    for seed in options.seeds:
        measure(options, seed, outcomes, console)
    return report("policies", rows(outcomes), options)


if __name__ == "__main__":
    sys.exit(main())
