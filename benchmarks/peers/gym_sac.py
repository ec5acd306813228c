"""Soft actor-critic on gymnasium's tasks: how a policy learns, and what it earns."""

from __future__ import annotations

import statistics

import torch
from peers.gym_worlds import GymWorlds

from isthmus_policies.algorithms.sac.sac import SAC
from isthmus_policies.networks.policy import restart
from isthmus_policies.networks.squashed import SquashedActorCritic

EVALUATION_SEED = 88_000


def learn(learner: SAC, decisions: int) -> None:
    """From so many decisions."""
    for _ in range(decisions):
        learner.collect()
        learner.update(0.0)


@torch.no_grad()
def earned(task: str, episodes: int, policy: SquashedActorCritic | None, hold: int = 1) -> float:
    """Mean return of episodes at the mean action, held for so many steps; of random ones without a policy. Episodes
    begin alike for every policy."""
    worlds, returns = GymWorlds(task, EVALUATION_SEED, hold), []
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    seen, memory = worlds.reset(), policy.initial_memory(1) if policy else {}
    while len(returns) < episodes:
        if policy is None:
            action = 2.0 * torch.rand(1, worlds.action_size, generator=generator) - 1.0
        else:
            action, memory = policy.act(seen, memory, {})
        step = worlds.step(action)
        seen = step.observations
        restart(memory, step.ended)
        returns += step.episode_terms["reward"].tolist()
    worlds.close()
    return statistics.mean(returns)
