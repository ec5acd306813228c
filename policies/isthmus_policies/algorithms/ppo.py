"""Proximal policy optimisation (Schulman et al. 2017) with clipped value loss and a learning rate that follows the
KL. The algorithm "ppo"."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_policies.algorithms.algorithm import AlgorithmEntry
from isthmus_policies.algorithms.episodes import EpisodeStatistics
from isthmus_policies.algorithms.learner import Learner
from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.algorithms.rollout import Collector, Rollout
from isthmus_policies.networks.actor_critic import ActorCritic
from isthmus_policies.networks.policy import DTYPES, Groups, Policy
from isthmus_sim.env import Env
from isthmus_sim.state_dicts import joined, part

COPIES = 5
"""Roll-outs that are held at the peak: the one collected, its batch, a minibatch, its images and activations, with the
worlds themselves. Measured on a robot of twelve joints: 120 KB per world, whose roll-out is 27 KB."""


class PPO:
    """`Algorithm`: roll-outs of `num_steps` control steps, each followed by an update."""

    def __init__(self, env: Env, policy: Policy, config: PPOConfig, generator: torch.Generator) -> None:
        """Raises ValueError for a policy without a value, too few worlds, or a symmetry that cannot be kept."""
        actor_critic = _with_value(policy)
        self.learner = Learner(actor_critic, config, generator, env.task.mirror)
        self.collector = Collector(env, actor_critic, config.num_steps, generator)
        self.columns = self.learner.columns
        self._generator = generator
        self._rollout: Rollout | None = None
        choices, what = (env.num_envs, "worlds") if policy.memory else (env.num_envs * config.num_steps, "rows")
        if choices < config.minibatches:
            raise ValueError(
                f"{env.num_envs} worlds x {config.num_steps} steps have {choices} {what} for {config.minibatches} "
                f"minibatches: take more worlds (num_envs) or fewer minibatches"
            )

    def collect(self) -> EpisodeStatistics:
        self._rollout, statistics = self.collector.collect()
        return statistics

    def update(self, progress: float) -> dict[str, float]:
        assert self._rollout is not None, "collect() comes first"
        return self.learner.update(self._rollout, progress)

    def state_dict(self) -> dict[str, Tensor]:
        parts = joined(learner=self.learner.state_dict(), collector=self.collector.state_dict())
        return {"generator": self._generator.get_state(), **parts}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._generator.set_state(state["generator"])
        self.learner.load_state_dict(part(state, "learner"))
        self.collector.load_state_dict(part(state, "collector"))


def world_bytes(policy: Policy, groups: Groups, action_size: int, config: PPOConfig) -> int:
    """Memory that one world takes at an update's peak. Raises ValueError for a policy without a value."""
    read = [groups[name] for name in _with_value(policy).learns_from()]
    observations = sum(group.size * DTYPES[group.dtype].itemsize for group in read)
    numbers = 2 * action_size + 3  # action and its mean; reward and two flags
    return COPIES * config.num_steps * (observations + 4 * numbers)


def _with_value(policy: Policy) -> ActorCritic:
    if not isinstance(policy, ActorCritic):
        raise ValueError(
            f"ppo learns from a value too: the policy must be an ActorCritic, this is a {type(policy).__name__}"
        )
    if policy.noise:
        raise ValueError(
            f"ppo explores by noise of its own around the mean action; this policy draws {', '.join(policy.noise)}: "
            "take an algorithm that gives it that, or a policy without"
        )
    return policy


ENTRY = AlgorithmEntry(config=PPOConfig(), make=PPO, world_bytes=world_bytes)
