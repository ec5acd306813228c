"""What chunk policies have in common whose network turns a noisy chunk into a better one: goals, guidance, scaling."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from isthmus_datasets.training.normalizer import Normalizer
from isthmus_policies.chunks.chunk_policy import ChunkPolicy, ChunkSpec, Tensors, expanded
from isthmus_policies.chunks.denoisers.denoiser import Denoiser
from isthmus_policies.chunks.encoder import ObservationEncoder
from isthmus_policies.chunks.methods.correction import Correction
from isthmus_policies.chunks.methods.steering import NoiseSteering

ConfigT = TypeVar("ConfigT")
Network = Callable[[Tensor, Tensor], Tensor]
"""(n, horizon, action_size) and time (n,) -> (n, horizon, action_size), for observations that it knows."""


class DenoisingPolicy(ChunkPolicy, Generic[ConfigT]):
    """An encoder, a denoiser, and what a method makes of them.

    Args:
        config: The method's settings.
        spec, normalizer: As `ChunkPolicy` has them.
        encoder: Reads observations.
        denoiser: Reads chunks.
    """

    def __init__(
        self,
        config: ConfigT,
        spec: ChunkSpec,
        normalizer: Normalizer,
        encoder: ObservationEncoder,
        denoiser: Denoiser,
    ) -> None:
        super().__init__(spec, normalizer)
        self.config = config
        self.encoder, self.denoiser = encoder, denoiser
        self.steering: NoiseSteering | None = None
        """Where noise is drawn, where isthmus-finetune has learned that."""
        self.correction: Correction | None = None
        """What is added to the next action, where isthmus-finetune has learned that."""

    @property
    def plans_every_tick(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride] (it is only read)
        return self.correction is not None

    def embed(self, observations: Tensors, goal: Tensors | None = None) -> Tensor:
        return self.encoder(self.scaled(observations), self.scaled(goal) if goal else None)

    def sample(
        self,
        observations: Tensors,
        n: int | None = None,
        *,
        noise: Tensor | None = None,
        init: Tensor | None = None,
        steps: int | None = None,
        goal: Tensors | None = None,
        guidance: float = 1.0,
    ) -> Tensor:
        return self.actions(self._scaled_chunks(observations, n, noise, init, steps, goal, guidance))

    def scaled_chunks(self, observations: Tensors) -> Tensor:
        """As `sample` of these observations, but scaled, and not held to the range of what was demonstrated."""
        return self._scaled_chunks(observations, None, None, None, None, None, 1.0)

    def _scaled_chunks(
        self, observations: Tensors, n: int | None, noise: Tensor | None, init: Tensor | None, steps: int | None,
        goal: Tensors | None, guidance: float,
    ) -> Tensor:  # fmt: skip
        observations, goal = expanded(observations, n), expanded(goal, n) if goal else None
        condition = self.embed(observations, goal)
        free = None if goal is None or guidance == 1.0 else self.embed(observations)
        drawn = self.noise(condition.shape[0]) if noise is None else noise
        if self.steering is not None:
            drawn = self.steering(condition, drawn)
        begin = None if init is None else self.normalizer.normalize(self.spec.action, init)
        chunk = self.denoised(self._network(condition, free, guidance), drawn, begin, steps)
        if self.correction is not None:
            chunk = self.correction(self.rows(observations), chunk)
        return chunk

    def rows(self, observations: Tensors) -> list[Tensor]:
        """Scaled columns of observations, each (n, observed, …)."""
        scaled = self.scaled(observations)
        return [scaled[name] for name in self.spec.columns]

    def _network(self, condition: Tensor, free: Tensor | None, guidance: float) -> Network:
        """free: the condition without the goal, where the goal shall count more."""
        if free is None:
            return lambda chunk, time: self.denoiser(chunk, time, condition)

        def guided(chunk: Tensor, time: Tensor) -> Tensor:
            without = self.denoiser(chunk, time, free)
            return without + guidance * (self.denoiser(chunk, time, condition) - without)

        return guided

    @abstractmethod
    def denoised(self, network: Network, noise: Tensor, begin: Tensor | None, steps: int | None) -> Tensor:
        """Scaled chunks (n, horizon, action_size), of noise (n, draws, horizon, action_size); from near `begin` on,
        where there is one."""


class ImitatingPolicy(DenoisingPolicy[ConfigT]):
    """A denoising policy that learns from demonstrations alone."""

    def loss(self, batch: Tensors, generator: torch.Generator) -> Tensor:
        scaled = self.scaled(batch)
        actions, goal, told = scaled[self.spec.action], None, None
        if self.spec.goal:
            goal = {name: scaled[f"goal.{name}"] for name in self.spec.goal}
            drawn = torch.rand(len(actions), generator=generator, device=actions.device)
            told = drawn >= self.encoder.config.goal_dropout
        condition = self.encoder(scaled, goal, told)
        return self.denoising_loss(actions, lambda chunk, time: self.denoiser(chunk, time, condition), generator)

    @abstractmethod
    def denoising_loss(self, actions: Tensor, network: Network, generator: torch.Generator) -> Tensor:
        """The scalar loss on scaled chunks (n, horizon, action_size)."""


@dataclass(frozen=True)
class Schedule:
    """A scheduler of diffusers that is set for some evaluations, and what it calls their noise levels."""

    scheduler: Any  # diffusers' own types do not say what its schedulers take
    times: list[float]

    def fresh(self) -> Any:
        """A copy for one sample. Its tables of numbers are shared: they are constants of a compiled graph, and so must
        not be made anew while that is compiled."""
        scheduler = copy.copy(self.scheduler)
        if hasattr(scheduler, "model_outputs"):
            scheduler.model_outputs = list(scheduler.model_outputs)
        return scheduler


class ScheduledPolicy(ImitatingPolicy[ConfigT]):
    """One whose steps are a scheduler's. Schedules are made once for each number of evaluations."""

    def __init__(
        self,
        config: ConfigT,
        spec: ChunkSpec,
        normalizer: Normalizer,
        encoder: ObservationEncoder,
        denoiser: Denoiser,
    ) -> None:
        super().__init__(config, spec, normalizer, encoder, denoiser)
        self._schedules: dict[tuple[int | None, bool], Schedule] = {}
        for near in (False, True):
            self.schedule(None, near)

    def schedule(self, steps: int | None, near: bool) -> Schedule:
        """The schedule of so many evaluations, from noise or near to a chunk. Raises ValueError where there cannot be
        as many."""
        if (steps, near) not in self._schedules:
            self._schedules[steps, near] = self.make_schedule(steps, near)
        return self._schedules[steps, near]

    @abstractmethod
    def make_schedule(self, steps: int | None, near: bool) -> Schedule:
        """As `schedule`, made anew. Near to a chunk it begins with little noise (RTI-DP: the chunk before, shifted, and
        some noise), and has a quarter of the evaluations by default."""


def positive(steps: int | None, default: int, most: int | None = None) -> int:
    """How many evaluations it shall be. Raises ValueError for none or more than there can be."""
    count = default if steps is None else steps
    if count < 1 or (most is not None and count > most):
        raise ValueError(f"{count} evaluations: it must be at least 1{f' and at most {most}' if most else ''}")
    return count


def gaussian(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers of the same shape."""
    return torch.randn(like.shape, generator=generator, device=like.device)


def uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    """(n,) numbers from 0 to 1, one for each chunk."""
    return torch.rand(len(like), generator=generator, device=like.device)


def times(like: Tensor, value: float) -> Tensor:
    """(n,): the same time for each chunk."""
    return torch.full((like.shape[0],), value, device=like.device)
