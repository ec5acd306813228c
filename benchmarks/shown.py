"""What benchmarks of learning from somebody share: learners that imitate, trainings, success, differences."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from common import Row

import torch

from isthmus_policies.algorithms.sac.replay import Transitions
from isthmus_policies.algorithms.sac.sac import SAC
from isthmus_policies.evaluation.evaluate import evaluate
from isthmus_policies.evaluation.intervals import Interval
from isthmus_policies.evaluation.runners import NetworkRunner
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.trainer import Trainer

EVALUATION_SEED = 88_000


class Dagger(SAC):
    """HG-DAgger (Kelly et al. 2019): acts at the mean action, and imitates what it was shown and what was done in its
    place. Collecting, interventions and replays are SAC's."""

    def _explore(self) -> torch.Tensor:
        return self.policy.act(self.replay.newest(), {}, {})[0]

    def update(self, progress: float) -> dict[str, float]:
        for _ in range(self.gradient_steps):
            shown = self.taught.shares(self.replay, 2 * self.config.batch_size)[1:]
            batch = Transitions.joined([replay.sample(size, 1, 1.0, self._generator) for replay, size in shown])
            error = (self.policy.act(batch.observations, {}, {})[0] - batch.action) * batch.known.unsqueeze(-1)
            self.learner.actor.gradient.zero_()
            error.square().mean().backward()
            self.learner.actor.step()
        return self.watched.summary() if self.intervener else {}


def success(trainer: Trainer, episodes: int) -> Interval:
    """Share of episodes that the mean action does, with its 95 % interval."""
    return evaluate(trainer.task, lambda env: NetworkRunner(trainer.policy, env), episodes, EVALUATION_SEED).success


Trained = tuple[Trainer, list[float]]
"""A finished training, and which share of each iteration's steps somebody else drove."""


def learned(config: TrainConfig[Any, Any, Any], kind: Callable[..., SAC] = SAC, driven: float | None = None) -> Trained:
    """By the algorithm `kind`, which is made as SAC is. Once so many control steps were `driven` by somebody else,
    nobody takes over any more."""
    trainer = Trainer(config)
    if kind is not SAC:
        generator = torch.Generator().manual_seed(config.seed + 1)
        trainer.algorithm = kind(trainer.env, trainer.policy, config.algorithm, generator)
    rates, left = [], driven
    per_iteration = config.num_envs * config.algorithm.collect_steps
    for _ in range(config.iterations):
        rates.append(trainer.iterate().get("intervention/rate", 0.0))
        if left is not None and (left := left - rates[-1] * per_iteration) <= 0.0:
            trainer.algorithm.intervener = None  # pyright: ignore[reportAttributeAccessIssue]
            left = None
    trainer.close()
    return trainer, rates


def cloned(config: TrainConfig[Any, Any, Any]) -> Trained:
    """What imitates demonstrations alone, in as many gradient steps."""
    trainer = Trainer(config)
    dagger = Dagger(trainer.env, trainer.policy, config.algorithm, torch.Generator().manual_seed(config.seed + 1))
    for _ in range(config.iterations):
        dagger.update(0.0)
    trainer.close()
    return trainer, []


def difference(metric: str, ours: list[float], theirs: list[float], must: str | None = None) -> Row:
    """Mean difference over seeds with its 95 % interval, whose worse end must keep the bound."""
    apart = [a - b for a, b in zip(ours, theirs, strict=True)]
    mean = statistics.mean(apart)
    half = 1.96 * statistics.stdev(apart) / len(apart) ** 0.5 if len(apart) > 1 else 0.0
    return Row(metric=metric, value=mean, unit="points", spread=(mean - half, mean + half), seeds=len(apart), must=must,
               peer="spread: 95 % over seeds")  # fmt: skip
