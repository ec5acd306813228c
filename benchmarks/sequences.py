"""`make bench-sequences`: a robot that decides slowly. Sequence reinforcement learning (`sac-sequence`) beside SAC that
holds each action.

On one of gymnasium's tasks three kinds of policies learn from equally many steps of the environment, with equally large
networks, rates and batches, and a gradient step for each step of the environment:

- one that gives a sequence of actions for a look, tried with a look every 1, 4, 8 and 16 steps ("sequence");
- SAC that decides every 1, 4, 8 and 16 steps and holds its action until then, trained so, each ("action repeat");
- SAC trained to decide in every step, tried with its actions held for longer ("held").

Scores are returns of whole episodes at the mean action, from the same starts for everyone: 0 is what random actions
earn, 100 what SAC earns that decides in every step, the median of the seeds. FAS is the frequency-averaged score (Patel
& Siegelmann 2025): the area under the score over the period, here from 1 to 16, by that of a score of 1.

What was measured is kept in runs/bench/sequences and not repeated; rows name its revision where that is another one.
"""

from __future__ import annotations

import itertools
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
from isthmus_policies.algorithms.sac.sequence import SequenceSAC, SequenceSACConfig
from isthmus_policies.networks.sequence import SequenceActorCritic, SequenceConfig
from isthmus_policies.networks.squashed import SquashedActorCritic, SquashedConfig

PERIODS = (1, 4, 8, 16)
KINDS = ("sequence", "action repeat", "held")
Returns = dict[str, list[float]]
"""By kind, one a period."""
LEARNER = ("task", "steps", "warm_up", "hidden", "episodes")


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Learn one of gymnasium's tasks with slow decisions."""

    task: str = "Pendulum-v1"
    """Name of the task."""
    seeds: tuple[int, ...] = (601, 602, 603, 604, 605)
    """Training seeds."""
    steps: int = 6000
    """Steps of the environment that each policy learns from."""
    warm_up: int = 1000
    """How many of these have random actions, before learning begins."""
    hidden: tuple[int, ...] = (64, 64)
    """Hidden layers of actors, critics and model."""
    episodes: int = 10
    """Episodes of an evaluation."""


QUICK = Options(seeds=(601,), steps=160, warm_up=96, hidden=(16,), episodes=1)


def network(options: Options) -> dict[str, Any]:
    """The configuration of every actor and its critics."""
    return {"critic_groups": ("actor",), "actor": options.hidden, "critic": options.hidden, "activation": "relu"}


def settings(options: Options, hold: int = 1) -> dict[str, Any]:
    """The configuration of a learner whose actions are held for so many steps: by steps of the environment all are the
    same."""
    return {
        "collect_steps": 1, "update_ratio": float(hold), "replay_steps": options.steps // hold, "batch_size": 64,
        "warm_up": options.warm_up // hold, "n_step": 1, "gamma": 0.95**hold, "target_rate": 0.01,
        "initial_temperature": 0.5,
    }  # fmt: skip


def holding(options: Options, seed: int, hold: int) -> SquashedActorCritic:
    """What SAC learns, whose actions are held for so many steps."""
    torch.manual_seed(seed)
    worlds, generator = GymWorlds(options.task, seed, hold), torch.Generator().manual_seed(seed)
    policy = SquashedActorCritic(worlds.groups, worlds.action_size, SquashedConfig(**network(options)))
    learn(SAC(cast(Any, worlds), policy, SACConfig(**settings(options, hold)), generator), options.steps // hold)
    return policy


def planning(options: Options, seed: int) -> SequenceActorCritic:
    """What sequence reinforcement learning learns, with plans of as many steps as the longest period."""
    torch.manual_seed(seed)
    worlds, generator = GymWorlds(options.task, seed), torch.Generator().manual_seed(seed)
    plans = {"length": PERIODS[-1], "period": PERIODS[-1], "model": options.hidden}
    policy = SequenceActorCritic(worlds.groups, worlds.action_size, SequenceConfig(**network(options), **plans))
    learn(SequenceSAC(cast(Any, worlds), policy, SequenceSACConfig(**settings(options)), generator), options.steps)
    return policy


def returned(options: Options, policy: SquashedActorCritic | None, hold: int = 1) -> float:
    """Mean return of episodes at the mean action, held for so many steps; of random ones without a policy."""
    return earned(options.task, options.episodes, policy, hold)


def planned(options: Options, seed: int) -> Returns:
    """What a policy that plans earns, by period."""
    policy, found = planning(options, seed), []
    for period in PERIODS:
        policy.period = period
        found.append(returned(options, policy))
    return {"sequence": found}


def held(options: Options, seed: int) -> Returns:
    """What policies earn that hold their actions, by period."""
    policies = [holding(options, seed, period) for period in PERIODS]
    return {
        "action repeat": [returned(options, each, period) for each, period in zip(policies, PERIODS, strict=True)],
        "held": [returned(options, policies[0], period) for period in PERIODS],
    }


def averaged(scores: list[float]) -> float:
    """The area under the scores (one a period) over the period, by its width: FAS."""
    pairs = itertools.pairwise(zip(PERIODS, scores, strict=True))
    return sum((q - p) * (a + b) / 2 for (p, a), (q, b) in pairs) / (PERIODS[-1] - PERIODS[0])


def rows(task: str, random: float, seeds: list[Returns]) -> list[Row]:
    """What is reported. The musts are of the median seed."""
    whole = statistics.median(each["action repeat"][0] for each in seeds)
    scores = [
        {kind: [100 * (value - random) / (whole - random) for value in found[kind]] for kind in KINDS}
        for found in seeds
    ]  # fmt: skip
    kept = [min(each["sequence"][1:]) / each["sequence"][0] for each in scores]
    lost = [each["action repeat"][0] - each["action repeat"][-1] for each in scores]
    least, lost_16 = "sequence, least score at 4, 8, 16 by that at 1", "action repeat, score at 1 less that at 16"
    n = len(seeds)
    return [
        Row(metric=f"{task}: return of random actions, the score 0", value=random, unit=""),
        over_seeds(f"{task}: return of SAC that decides in every step", [s["action repeat"][0] for s in seeds], ""),
        *(
            over_seeds(f"{task}: score, {kind}, every {period}", [each[kind][place] for each in scores], "")
            for kind in KINDS
            for place, period in enumerate(PERIODS)
        ),
        *(over_seeds(f"{task}: FAS, {kind}", [averaged(each[kind]) / 100 for each in scores], "") for kind in KINDS),
        over_seeds(f"{task}: {least}", kept, ""),
        over_seeds(f"{task}: {lost_16}", lost, "points"),
        Row(metric=f"{task}: median seed, {least}", value=statistics.median(kept), unit="", seeds=n, must=">= 0.85"),
        Row(metric=f"{task}: median seed, {lost_16}", value=statistics.median(lost), unit="points", seeds=n,
            must=">= 30"),
    ]  # fmt: skip


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    if options.steps // PERIODS[-1] <= options.warm_up // PERIODS[-1]:
        sys.exit(f"bench-sequences: there must be at least {PERIODS[-1]} steps after the random ones")
    torch.set_num_threads(1)
    kept = Kept.of("sequences", options)
    seeds = [
        kept.once(f"planned-{seed}", LEARNER, lambda s=seed: planned(options, s))
        | kept.once(f"held-{seed}", LEARNER, lambda s=seed: held(options, s))
        for seed in options.seeds
    ]
    return report("sequences", kept.told(rows(options.task, returned(options, None), seeds)), options)


if __name__ == "__main__":
    sys.exit(main())
