"""`make bench-temperatures`: SAC's learned temperature beside fixed ones, on tasks whose rewards differ in size.

What a nat of entropy is worth, in units of reward, is the temperature. A fixed one that suits a task is too much or too
little on another; the learned one aims at an entropy instead (Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and
Applications"). Each learns each task with equally many steps, networks, rates and seeds; returns are those of whole
episodes at the mean action, from the same starts for everyone.

The musts: on every task the median return of the learned one is not below the interval of the best fixed one, which is
the one with the highest mean; and each fixed one is below the interval of another on some task. Intervals are normal
ones of the mean over the seeds, 95 %.

What was measured is kept in runs/bench/temperatures and not repeated; rows name its revision where that is another one.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from typing import Any, cast

from common import BenchOptions, Row, over_seeds, parse, report

import torch
from kept import Kept
from peers.gym_sac import earned, learn
from peers.gym_worlds import GymWorlds

from isthmus_policies.algorithms.sac.config import SACConfig
from isthmus_policies.algorithms.sac.sac import SAC
from isthmus_policies.evaluation.intervals import mean_interval
from isthmus_policies.networks.squashed import SquashedActorCritic, SquashedConfig

LEARNER = ("steps", "warm_up", "hidden", "episodes")
Returns = dict[float | None, list[float]]
"""Temperature, None for the learned one -> the return of each seed."""


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Learn some of gymnasium's tasks with the temperature learned and fixed."""

    tasks: tuple[str, ...] = ("Pendulum-v1", "Reacher-v5", "InvertedDoublePendulum-v5")
    """Names of gymnasium's tasks."""
    fixed: tuple[float, ...] = (0.003, 0.03, 0.3, 3.0)
    """Fixed temperatures, units of reward a nat."""
    seeds: tuple[int, ...] = (701, 702, 703, 704, 705)
    """Training seeds."""
    steps: int = 6000
    """Steps of the environment that each policy learns from."""
    warm_up: int = 1000
    """How many of these have random actions, before learning begins."""
    hidden: tuple[int, ...] = (64, 64)
    """Hidden layers of actor and critics."""
    episodes: int = 20
    """Episodes of an evaluation."""


QUICK = Options(tasks=("Pendulum-v1",), fixed=(0.1,), seeds=(701, 702), steps=160, warm_up=96, hidden=(16,), episodes=1)


def returned(options: Options, task: str, temperature: float | None, seed: int) -> float:
    """What a policy earns that has learned so."""
    torch.manual_seed(seed)
    worlds, generator = GymWorlds(task, seed), torch.Generator().manual_seed(seed)
    network = SquashedConfig(
        critic_groups=("actor",), actor=options.hidden, critic=options.hidden, activation="relu"
    )  # fmt: skip
    policy = SquashedActorCritic(worlds.groups, worlds.action_size, network)
    config = SACConfig(
        collect_steps=1, update_ratio=1.0, replay_steps=options.steps, batch_size=64, warm_up=options.warm_up, n_step=1,
        gamma=0.95, target_rate=0.01, temperature=temperature,
    )  # fmt: skip
    learn(SAC(cast(Any, worlds), policy, config, generator), options.steps)
    worlds.close()
    return earned(task, options.episodes, policy)


def below(values: list[float], others: list[float]) -> bool:
    """Whether their median is below the interval of the others' mean."""
    return statistics.median(values) < mean_interval(torch.tensor(others))[0]


def rows(found: dict[str, Returns]) -> list[Row]:
    """What is reported of each task's returns."""
    told, short, lost = [], 0, set[float]()
    for task, returns in found.items():
        learned = returns[None]
        fixed = {each: values for each, values in returns.items() if each is not None}
        best = max(fixed, key=lambda each: statistics.mean(fixed[each]))
        low, _, high = mean_interval(torch.tensor(fixed[best]))
        told += [over_seeds(f"{task}: return, temperature {each:g}", values, "") for each, values in fixed.items()]
        peer = f"best fixed: {best:g}, interval {low:.4g} to {high:.4g}"
        told.append(over_seeds(f"{task}: return, temperature learned", learned, "", peer=peer))
        short += below(learned, fixed[best])
        lost |= {each for each, values in fixed.items() if any(below(values, other) for other in fixed.values())}
    everywhere = set(next(iter(found.values()))) - {None} - lost
    return [
        *told,
        Row(metric="tasks on which the learned one is below the best fixed one's interval", value=short, unit="",
            must="<= 0"),
        Row(metric="fixed ones that are below another's interval on no task", value=len(everywhere), unit="",
            must="<= 0"),
    ]  # fmt: skip


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    torch.set_num_threads(1)
    kept = Kept.of("temperatures", options)

    def measured(task: str, temperature: float | None, seed: int) -> float:
        name = f"{task}-{'learned' if temperature is None else f'{temperature:g}'}-{seed}"
        return kept.once(name, LEARNER, lambda: returned(options, task, temperature, seed))

    found: dict[str, Returns] = {task: {each: [] for each in (None, *options.fixed)} for task in options.tasks}
    for seed in options.seeds:
        for task, returns in found.items():
            for temperature, values in returns.items():
                values.append(measured(task, temperature, seed))
    return report("temperatures", kept.told(rows(found)), options)


if __name__ == "__main__":
    sys.exit(main())
