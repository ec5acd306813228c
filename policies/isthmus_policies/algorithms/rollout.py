"""Collecting experience, and what it was worth."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from isthmus_policies.networks.actor_critic import CACHED_ROWS, ActorCritic
from isthmus_policies.training.distributed import total
from isthmus_sim.env import Divergence, Env, Observations, Step


@dataclass(kw_only=True)
class EpisodeStatistics:
    """Of the episodes that ended during a roll-out. `add` only keeps, `summary` adds up: a GPU is waited for once."""

    names: tuple[str, ...] = ()
    """The reward's terms."""
    divergences: list[Divergence] = field(default_factory=list)
    lengths: list[Tensor] = field(default_factory=list)
    timed_out: list[Tensor] = field(default_factory=list)
    terms: list[Tensor] = field(default_factory=list)

    @property
    def diverged(self) -> int:
        """How many worlds did."""
        return sum(len(divergence.worlds) for divergence in self.divergences)

    def add(self, step: Step) -> None:
        if step.divergence is not None:
            self.divergences.append(step.divergence)
        if len(step.ended) == 0:
            return
        self.lengths.append(step.episode_length)
        self.timed_out.append(step.truncated[step.ended])
        self.terms.append(torch.stack([step.episode_terms[name] for name in self.names]))

    def summary(self) -> dict[str, float]:
        """Means per episode, of all processes; empty when none ended."""
        sums = [0.0] * (2 + len(self.names))
        if self.lengths:
            ends = torch.stack((torch.cat(self.lengths), torch.cat(self.timed_out)))
            sums = torch.cat((ends, torch.cat(self.terms, dim=1))).double().sum(1).tolist()
        episodes, *sums = total(sum(map(len, self.lengths)), *sums)
        if episodes == 0:
            return {}
        length, timed_out, *terms = (value / episodes for value in sums)
        return {
            "episode/return": sum(terms),
            "episode/length": length,
            "episode/timed_out": timed_out,
            **{f"reward/{name}": value for name, value in zip(self.names, terms, strict=True)},
        }


@dataclass(kw_only=True)
class Rollout:
    """T control steps of N worlds: (T, N, ...). `done` is `terminated` or out of time."""

    actor: Tensor
    critic: Tensor
    action: Tensor
    mean: Tensor
    reward: Tensor
    terminated: Tensor
    done: Tensor
    time_outs: list[tuple[int, Tensor, Tensor]]
    """(step, worlds (k,), their true last critic observations (k, size))"""
    last_critic: Tensor
    """(N, size): the critic's observation after the last step."""


class Collector:
    """Runs a policy in an Env; its buffers are used again by every roll-out."""

    def __init__(self, env: Env, horizon: int, generator: torch.Generator) -> None:
        n, groups, device = env.num_envs, env.task.groups, env.engine.device
        self.env = env
        self.horizon = horizon
        self._generator = generator
        self._actor = torch.zeros(horizon, n, groups["actor"].size, device=device)
        self._critic = torch.zeros(horizon, n, groups["critic"].size, device=device)
        self._action, self._mean = (torch.zeros(horizon, n, env.task.action_size, device=device) for _ in range(2))
        self._reward = torch.zeros(horizon, n, device=device)
        self._terminated, self._done = (torch.zeros(horizon, n, dtype=torch.bool, device=device) for _ in range(2))
        self.observations: Observations = env.reset()

    @torch.no_grad()
    def collect(self, policy: ActorCritic) -> tuple[Rollout, EpisodeStatistics]:
        """Run `horizon` control steps with actions sampled around the policy's mean."""
        statistics = EpisodeStatistics(names=self.env.task.reward_terms)
        time_outs: list[tuple[int, Tensor, Tensor]] = []
        std = policy.std()
        noise = torch.empty_like(self._action).normal_(generator=self._generator) * std
        for t in range(self.horizon):
            self._actor[t], self._critic[t] = self.observations["actor"], self.observations["critic"]
            self._mean[t] = policy.act(self.observations["actor"])
            torch.add(self._mean[t], noise[t], out=self._action[t])
            step = self.env.step(self._action[t])
            self._reward[t] = step.reward
            self._terminated[t] = step.terminated
            torch.logical_or(step.terminated, step.truncated, out=self._done[t])
            if len(step.ended):
                late = step.truncated[step.ended]
                time_outs.append((t, step.ended[late], step.final["critic"][late]))
            statistics.add(step)
            self.observations = step.observations
        return self._rollout(time_outs), statistics

    def _rollout(self, time_outs: list[tuple[int, Tensor, Tensor]]) -> Rollout:
        return Rollout(
            actor=self._actor, critic=self._critic, action=self._action, mean=self._mean, reward=self._reward,
            terminated=self._terminated, done=self._done, time_outs=time_outs, last_critic=self.observations["critic"],
        )  # fmt: skip


@torch.no_grad()
def values(policy: ActorCritic, rollout: Rollout) -> tuple[Tensor, Tensor]:
    """Values (T, N) of the states acted in, and (T, N) of the states that followed: the true ones where time ran out.

    Where an episode failed, the following state has no value to speak of; `advantages` masks it.
    """
    rows = rollout.critic.flatten(0, 1)
    now = torch.cat([policy.value(part) for part in rows.split(CACHED_ROWS)]).view_as(rollout.reward)
    following = torch.cat((now[1:], policy.value(rollout.last_critic).unsqueeze(0)))
    if rollout.time_outs:
        final = policy.value(torch.cat([rows for _, _, rows in rollout.time_outs]))
        steps = torch.cat([torch.full_like(worlds, t) for t, worlds, _ in rollout.time_outs])
        following[steps, torch.cat([worlds for _, worlds, _ in rollout.time_outs])] = final
    return now, following


def advantages(
    reward: Tensor, value: Tensor, following: Tensor, terminated: Tensor, done: Tensor, gamma: float, lam: float
) -> Tensor:
    """Generalised advantage estimates (T, N) (Schulman et al. 2016).

    following (T, N): V(s_{t+1}), of the true last state where an episode ended. A failure has no future; a time-out
    has one, but the estimate does not run on across it.
    """
    delta = reward + gamma * torch.where(terminated, 0.0, following) - value
    carry = gamma * lam * (1.0 - done.to(reward.dtype))
    result = torch.empty_like(delta)
    running = torch.zeros_like(delta[0])
    for t in reversed(range(len(delta))):
        running = torch.addcmul(delta[t], carry[t], running)
        result[t] = running
    return result
