"""Collecting experience, and what it was worth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_policies.algorithms.episodes import EpisodeStatistics
from isthmus_policies.networks.actor_critic import ActorCritic
from isthmus_policies.networks.normalizer import CACHED_ROWS
from isthmus_policies.networks.policy import DTYPES, Tensors, restart
from isthmus_sim.env import Env, Observations, Step
from isthmus_sim.state_dicts import joined, part


@dataclass(kw_only=True)
class TimeOuts:
    """Worlds (k,) that ran out of time in control step `step`, and the critic's groups (k, *shape) as they truly last
    were."""

    step: int
    worlds: Tensor
    final: Tensors


@dataclass(kw_only=True)
class Rollout:
    """T control steps of N worlds: (T, N, ...)."""

    observations: Tensors
    """The groups that the policy learns from, each (T, N, *shape) in its own dtype."""
    memory: Tensors
    """The policy's memory before the first step (N, *shape)."""
    action: Tensor
    mean: Tensor
    reward: Tensor
    terminated: Tensor
    done: Tensor
    """`terminated` or out of time."""
    time_outs: list[TimeOuts]
    last: Tensors
    """The critic's groups after the last step (N, *shape)."""


class Collector:
    """Runs a policy in an Env; its buffers are used again by every roll-out."""

    def __init__(self, env: Env, policy: ActorCritic, num_steps: int, generator: torch.Generator) -> None:
        n, device = env.num_envs, env.device
        self.env, self.policy, self.num_steps = env, policy, num_steps
        self.memory = policy.initial_memory(n, device)
        self._generator = generator
        groups = {name: env.task.groups[name] for name in policy.learns_from()}
        self._buffers = {
            name: torch.zeros(num_steps, n, *group.shape, dtype=DTYPES[group.dtype], device=device)
            for name, group in groups.items()
        }
        self._action, self._mean = (torch.zeros(num_steps, n, env.task.action_size, device=device) for _ in range(2))
        self._reward = torch.zeros(num_steps, n, device=device)
        self._terminated, self._done = (torch.zeros(num_steps, n, dtype=torch.bool, device=device) for _ in range(2))
        self.observations: Observations = env.reset()

    @torch.no_grad()
    def collect(self) -> tuple[Rollout, EpisodeStatistics]:
        """Run `num_steps` control steps with actions sampled around the policy's mean."""
        statistics = EpisodeStatistics(names=self.env.reward_terms)
        time_outs: list[TimeOuts] = []
        memory = {name: value.clone() for name, value in self.memory.items()}
        noise = torch.empty_like(self._action).normal_(generator=self._generator) * self.policy.std()
        for t in range(self.num_steps):
            for name, buffer in self._buffers.items():
                buffer[t] = self.observations[name]
            self._mean[t], self.memory = self.policy.act(self.observations, self.memory, {})
            torch.add(self._mean[t], noise[t], out=self._action[t])
            step = self.env.step(self._action[t])
            self._keep(t, step, time_outs)
            statistics.add(step)
        return self._rollout(memory, time_outs), statistics

    def _keep(self, t: int, step: Step, time_outs: list[TimeOuts]) -> None:
        self._reward[t] = step.reward
        self._terminated[t] = step.terminated
        torch.logical_or(step.terminated, step.truncated, out=self._done[t])
        if len(step.ended):
            late = step.truncated[step.ended]
            final = {name: step.final[name][late] for name in self.policy.critic_groups}
            time_outs.append(TimeOuts(step=t, worlds=step.ended[late], final=final))
            restart(self.memory, step.ended)
        self.observations = step.observations

    def _rollout(self, memory: Tensors, time_outs: list[TimeOuts]) -> Rollout:
        return Rollout(
            observations=self._buffers, memory=memory, action=self._action, mean=self._mean, reward=self._reward,
            terminated=self._terminated, done=self._done, time_outs=time_outs,
            last={name: self.observations[name] for name in self.policy.critic_groups},
        )  # fmt: skip

    def state_dict(self) -> Tensors:
        """What the next roll-out begins with."""
        return joined(observations=self.observations, memory=self.memory)

    def load_state_dict(self, state: Tensors) -> None:
        state = {name: value.to(self.env.device) for name, value in state.items()}
        self.observations, self.memory = part(state, "observations"), part(state, "memory")


@torch.no_grad()
def values(policy: ActorCritic, rollout: Rollout) -> tuple[Tensor, Tensor]:
    """Values (T, N) of the states acted in, and (T, N) of the states that followed: the true ones where time ran out.

    Where an episode failed, the next state has no value to speak of; `advantages` masks it.
    """
    rows = {name: rollout.observations[name].flatten(0, 1) for name in policy.critic_groups}
    parts = zip(*(value.split(CACHED_ROWS) for value in rows.values()), strict=True)
    now = torch.cat([policy.value(dict(zip(rows, part, strict=True))) for part in parts]).view_as(rollout.reward)
    next_value = torch.cat((now[1:], policy.value(rollout.last).unsqueeze(0)))
    if rollout.time_outs:
        ends = rollout.time_outs
        final = {name: torch.cat([end.final[name] for end in ends]) for name in policy.critic_groups}
        steps = torch.cat([torch.full_like(end.worlds, end.step) for end in ends])
        next_value[steps, torch.cat([end.worlds for end in ends])] = policy.value(final)
    return now, next_value


def advantages(
    reward: Tensor, value: Tensor, next_value: Tensor, terminated: Tensor, done: Tensor, gamma: float, lam: float
) -> Tensor:
    """Generalised advantage estimates (T, N) (Schulman et al. 2016).

    next_value (T, N): V(s_{t+1}), of the true last state where an episode ended. A failure has no future; a time-out
    has one, but the estimate does not run on across it.
    """
    delta = reward + gamma * torch.where(terminated, 0.0, next_value) - value
    carry = gamma * lam * (1.0 - done.to(reward.dtype))
    result = torch.empty_like(delta)
    running = torch.zeros_like(delta[0])
    for t in reversed(range(len(delta))):
        running = torch.addcmul(delta[t], carry[t], running)
        result[t] = running
    return result
