"""Soft actor-critic: off-policy learning from a replay of what was done, with a reward for staying random (Haarnoja et
al. 2018). The algorithm "sac"."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_policies.algorithms.algorithm import AlgorithmEntry
from isthmus_policies.algorithms.episodes import EpisodeStatistics
from isthmus_policies.algorithms.sac.config import SACConfig
from isthmus_policies.algorithms.sac.learner import LOGGED, Learner
from isthmus_policies.algorithms.sac.replay import ReplayBuffer, transition_bytes
from isthmus_policies.distributed import gathered
from isthmus_policies.networks.normalizer import moments
from isthmus_policies.networks.policy import Groups, Policy
from isthmus_policies.networks.squashed import SquashedActorCritic, squash
from isthmus_sim.env import Env

COPIES = 3
"""The replay itself; and while a checkpoint is written, its copy and the file's bytes."""
FRESH = 64
"""Observations at least that the normalisers take in together."""


class SAC:
    """`Algorithm`: `collect_steps` control steps of all worlds, then as many gradient steps as these are worth."""

    columns = (*(f"learner/{name}" for name in LOGGED), "replay/transitions")

    def __init__(self, env: Env, policy: Policy, config: SACConfig, generator: torch.Generator) -> None:
        """Raises ValueError for a policy that it cannot improve, or so few steps that no gradient step comes of
        them."""
        self.env, self.policy, self.config = env, _squashed(policy), config
        self.gradient_steps = round(config.update_ratio * config.collect_steps * env.num_envs)
        if self.gradient_steps < 1:
            raise ValueError(
                f"{env.num_envs} worlds x {config.collect_steps} collect_steps x update_ratio {config.update_ratio:g} "
                "are less than one gradient step: collect more steps, or raise the ratio"
            )
        self._generator = generator
        self.learner = Learner(self.policy, config, generator)
        groups = {name: env.task.groups[name] for name in self.policy.learns_from()}
        self.replay = ReplayBuffer(env.task, groups, env.num_envs, config.replay_steps, env.device)
        # With few worlds, taking in what was seen would take as long as seeing it.
        collects = min(FRESH // (config.collect_steps * env.num_envs), config.replay_steps // config.collect_steps)
        self._normalize_every = config.collect_steps * max(1, collects)
        self._begun = env.reset()
        self.replay.begin(self._begun)

    @torch.no_grad()
    def collect(self) -> EpisodeStatistics:
        statistics = EpisodeStatistics(names=self.env.reward_terms)
        for _ in range(self.config.collect_steps):
            action = self._explore()
            step = self.env.step(action)
            self.replay.add(action, step.reward, step.terminated, step.truncated, step.observations)
            statistics.add(step)
        if self.replay.taken % self._normalize_every == 0:
            self._normalize()
        return statistics

    def _explore(self) -> Tensor:
        """Actions (N, action_size) to take now."""
        shape = self.env.num_envs, self.env.task.action_size
        drawn = torch.empty(shape, device=self.env.device)
        if self._warming_up:
            return drawn.uniform_(-1.0, 1.0, generator=self._generator)
        return squash(self.policy.output(self.replay.newest()), drawn.normal_(generator=self._generator))[0]

    def _normalize(self) -> None:
        """Let the normalisers take in what they have not seen."""
        seen = self.replay.last(self._normalize_every)
        for name, normalizer in self.policy.normalizers():
            rows = seen[name].flatten(1)
            for mean, variance in gathered(moments(rows)):
                normalizer.merge(mean, variance, len(rows))

    @property
    def _warming_up(self) -> bool:
        return self.replay.taken * self.env.num_envs < self.config.warm_up

    def update(self, progress: float) -> dict[str, float]:
        """Gradient steps; nothing to log of them while it warms up."""
        remembered = {"replay/transitions": float(len(self.replay))}
        if self._warming_up:
            return remembered
        c = self.config
        sums = torch.zeros(len(LOGGED), device=self.env.device)
        for _ in range(self.gradient_steps):
            sums += self.learner.step(self.replay.sample(c.batch_size, c.n_step, c.gamma, self._generator))
        means = (sums / self.gradient_steps).tolist()
        return dict(zip(self.columns, means, strict=False)) | remembered

    def state_dict(self) -> dict[str, Tensor]:
        parts = {"learner": self.learner.state_dict(), "replay": self.replay.state_dict()}
        state = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
        return {"generator": self._generator.get_state(), **state}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Raises ValueError for a replay of another task, or with other commands."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}

        self.replay.load_state_dict(part("replay."))
        self.learner.load_state_dict(part("learner."))
        self._generator.set_state(state["generator"])
        if "snapshots" not in self.env.engine.capabilities:
            self.replay.cut(self._begun)


def world_bytes(policy: Policy, groups: Groups, action_size: int, config: SACConfig) -> int:
    """Memory that one world takes: what is remembered of it. Raises ValueError for a policy that it cannot improve."""
    kept = {name: groups[name] for name in _squashed(policy).learns_from()}
    return COPIES * (config.replay_steps + 1) * transition_bytes(kept, action_size)


def _squashed(policy: Policy) -> SquashedActorCritic:
    if not isinstance(policy, SquashedActorCritic):
        raise ValueError(
            "sac learns from the values of actions: the policy must be a SquashedActorCritic, such as --policy "
            f"squashed, this is a {type(policy).__name__}"
        )
    return policy


ENTRY = AlgorithmEntry(
    config=SACConfig(),
    make=SAC,
    world_bytes=world_bytes,
    training={"policy_name": "squashed", "num_envs": 64, "iterations": 400, "torch_threads": 1},
)
