"""Soft actor-critic: off-policy learning from a replay of what was done, with a reward for staying random (Haarnoja et
al. 2018). The algorithm "sac"."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from isthmus_policies.algorithms.algorithm import AlgorithmEntry
from isthmus_policies.algorithms.episodes import EpisodeStatistics
from isthmus_policies.algorithms.sac.config import SACConfig
from isthmus_policies.algorithms.sac.learner import Learner
from isthmus_policies.algorithms.sac.replay import ReplayBuffer, Transitions, transition_bytes
from isthmus_policies.algorithms.sac.taught import Taught
from isthmus_policies.distributed import gathered
from isthmus_policies.interventions import watched
from isthmus_policies.interventions.intervener import make_intervener
from isthmus_policies.interventions.watched import Watched
from isthmus_policies.networks.normalizer import moments
from isthmus_policies.networks.policy import Groups, Policy, Tensors
from isthmus_policies.networks.squashed import SquashedActorCritic, squash
from isthmus_sim.env import Env, Step

COPIES = 3
"""The replay itself; and while a checkpoint is written, its copy and the file's bytes."""
FRESH = 64
"""Observations at least that the normalisers take in together."""


class SAC:
    """`Algorithm`: `collect_steps` control steps of all worlds, then as many gradient steps as these are worth."""

    def __init__(self, env: Env, policy: Policy, config: SACConfig, generator: torch.Generator) -> None:
        """Raises ValueError for a policy that it cannot improve, or so few steps that no gradient step comes of
        them."""
        self.env, self.policy, self.config = env, self.improvable(policy), config
        self.gradient_steps = round(config.update_ratio * config.collect_steps * env.num_envs)
        if self.gradient_steps < 1:
            raise ValueError(
                f"{env.num_envs} worlds x {config.collect_steps} collect_steps x update_ratio {config.update_ratio:g} "
                "are less than one gradient step: collect more steps, or raise the ratio"
            )
        self._generator = generator
        self.learner = self.make_learner(generator)
        self.intervener = make_intervener(config.interventions, env.task, env.num_envs, generator)
        self.watched = Watched()
        watching = self.intervener.groups if self.intervener else ()
        groups = {name: env.task.groups[name] for name in dict.fromkeys((*self.policy.learns_from(), *watching))}
        self.replay = ReplayBuffer(env.task, groups, env.num_envs, config.replay_steps, env.device)
        learned = {name: groups[name] for name in self.policy.learns_from()}
        room = 0 if self.intervener is None else config.replay_steps * env.num_envs
        self.taught = Taught(
            config.demonstrations, env.task, learned,
            rewarded=config.reward == "task", interventions=room, device=env.device,
        )  # fmt: skip
        self.columns = (*(f"learner/{name}" for name in self.learner.logged), "replay/transitions")
        if self.taught.expected:
            self.columns += ("replay/taught",)
        if self.intervener:
            self.columns += watched.COLUMNS
        # With few worlds, taking in what was seen would take as long as seeing it.
        collects = min(FRESH // (config.collect_steps * env.num_envs), config.replay_steps // config.collect_steps)
        self._normalize_every = config.collect_steps * max(1, collects)
        if self.taught.demonstrations is not None:
            self._normalize(self.taught.demonstrations.replay.all())
        self._begun = env.reset()
        self.replay.begin(self._begun)

    def make_learner(self, generator: torch.Generator) -> Learner:
        """What improves the policy."""
        return Learner(self.policy, self.config, generator)

    @staticmethod
    def improvable(policy: Policy) -> SquashedActorCritic:
        """The policy. Raises ValueError for one that it cannot improve."""
        if not isinstance(policy, SquashedActorCritic) or policy.memory:
            raise ValueError(
                "sac learns from the values of single actions: the policy must be a SquashedActorCritic without "
                f"memory, such as --policy squashed, this is a {type(policy).__name__}"
            )
        return policy

    @torch.no_grad()
    def collect(self) -> EpisodeStatistics:
        statistics = EpisodeStatistics(names=self.env.reward_terms)
        for _ in range(self.config.collect_steps):
            statistics.add(self._step())
        if self.replay.taken % self._normalize_every == 0:
            self._normalize(self.replay.last(self._normalize_every))
        return statistics

    def _step(self) -> Step:
        """A control step of all worlds, by the learner or by whoever takes over from it."""
        seen, action = self.replay.newest(), self._explore()
        if self.intervener is None:
            step = self.env.step(action)
            self.replay.add(action, step.reward, step.terminated, step.truncated, step.observations)
            return step
        driven = self.intervener.driving
        action = self.intervener.act(seen, action)
        step = self.env.step(action)
        taken = self.intervener.watch(seen, action, step.terminated | step.truncated, len(driven) * self.replay.taken)
        self.watched.add(driven, taken)
        reward = step.reward
        if self.config.reward == "takeovers":
            reward = -(taken | (step.terminated & ~step.succeeded)).float()
        self.replay.add(action, reward, step.terminated, step.truncated, step.observations)
        self.taught.add(self.replay, torch.where(self.intervener.let_go, self.intervener.driven, 0))
        return step

    def _explore(self) -> Tensor:
        """Actions (N, action_size) to take now."""
        shape = self.env.num_envs, self.env.task.action_size
        drawn = torch.empty(shape, device=self.env.device)
        if self._warming_up:
            return drawn.uniform_(-1.0, 1.0, generator=self._generator)
        return squash(self._output(), drawn.normal_(generator=self._generator))[0]

    def _output(self) -> Tensor:
        """What the actor gives in every world now, (N, 2 action_size)."""
        return self.policy.output(self.replay.newest())

    def _normalize(self, seen: Tensors) -> None:
        """Let the normalisers take in what they have not seen."""
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
        if self.taught.expected:
            remembered |= {"replay/taught": float(sum(map(len, self.taught.replays)))}
        if self.intervener is not None:
            remembered |= self.watched.summary()
        if self._warming_up:
            return remembered
        sums = torch.zeros(len(self.learner.logged), device=self.env.device)
        for _ in range(self.gradient_steps):
            sums += self.learner.step(self._batch())
        means = (sums / self.gradient_steps).tolist()
        return dict(zip(self.columns, means, strict=False)) | remembered

    def _batch(self) -> Transitions:
        c = self.config
        return Transitions.joined(
            [
                replay.sample(size, c.n_step, c.gamma, self._generator)
                for replay, size in self.taught.shares(self.replay, c.batch_size)
            ]
        )

    def state_dict(self) -> dict[str, Tensor]:
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        state = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
        return {"generator": self._generator.get_state(), **state}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Raises ValueError for a replay of another task or with other commands, and for demonstrations that have
        changed."""
        for name, part in self._parts().items():
            prefix = f"{name}."
            part.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        self._generator.set_state(state["generator"])
        if "snapshots" not in self.env.engine.capabilities:
            self.replay.cut(self._begun)
            if self.intervener is not None:
                self.intervener.begin()

    def _parts(self) -> dict[str, Any]:
        parts = {"replay": self.replay, "taught": self.taught, "learner": self.learner}
        return parts | ({"intervener": self.intervener, "watched": self.watched} if self.intervener else {})


def world_bytes(policy: Policy, groups: Groups, action_size: int, config: SACConfig) -> int:
    """Memory that one world takes. Raises ValueError for a policy that it cannot improve."""
    return remembered_bytes(SAC.improvable(policy), groups, action_size, config)


def remembered_bytes(policy: SquashedActorCritic, groups: Groups, action_size: int, config: SACConfig) -> int:
    """Memory of what is remembered of one world."""
    learned = {name: groups[name] for name in policy.learns_from()}
    size = transition_bytes(learned, action_size)
    if config.interventions.teacher is not None:  # who sees other groups, and fills a replay of the same size
        size += transition_bytes(groups, action_size)
    return COPIES * (config.replay_steps + 1) * size


ENTRY = AlgorithmEntry(
    config=SACConfig(),
    make=SAC,
    world_bytes=world_bytes,
    training={"policy_name": "squashed", "num_envs": 64, "iterations": 400, "torch_threads": 1},
)
