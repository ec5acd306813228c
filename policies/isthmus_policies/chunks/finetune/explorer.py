"""A chunk policy as one that explores, for reinforcement learning: what it draws, how likely that was, and what chunk
comes of it."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from isthmus_policies.chunks.chunk_policy import ChunkPolicy, Tensors
from isthmus_policies.chunks.methods.correction import Correction
from isthmus_policies.chunks.methods.denoising import DenoisingPolicy
from isthmus_policies.chunks.methods.steering import NoiseSteering
from isthmus_policies.chunks.training.run import add_correction, add_steering

_NOISE = "noise"  # beside the columns that an ActionExplorer has seen


@dataclass(frozen=True, kw_only=True)
class Explored:
    """What n robots do.

    seen: what the mean follows from, each (n, …); mean; drawn: around it; chunk: scaled (n, horizon, action_size), of
    which the first actions are done.
    """

    seen: dict[str, Tensor]
    mean: Tensor
    drawn: Tensor
    chunk: Tensor


class Explorer(nn.Module, ABC):
    """Draws from a normal distribution around `mean`.

    Args:
        policy: It.
        execute: How many actions of each chunk are done.

    Raises:
        ValueError: the policy draws nothing, sees images, has goals, or its actions have no range.
    """

    log_deviation: nn.Parameter

    def __init__(self, policy: ChunkPolicy, execute: int) -> None:
        super().__init__()
        self.policy, self.execute = _suitable(policy), execute
        if not 1 <= execute <= policy.spec.horizon:
            raise ValueError(f"{execute} of {policy.spec.horizon} actions cannot be done; choose --execute in between")

    @abstractmethod
    def explore(
        self, observations: Tensors, noise: Tensor, begin: Tensor | None, generator: torch.Generator
    ) -> Explored:
        """Draw, and do what comes of it. noise: as `ChunkPolicy.noise` gives it; begin: scaled chunks
        (n, horizon, action_size) to begin near to, None to begin afresh."""

    @abstractmethod
    def mean(self, seen: Tensors) -> Tensor:
        """(n, …): of what is drawn, as the policy is now; seen: as `Explored` has it."""

    @abstractmethod
    def before(self, seen: Tensors) -> Tensor:
        """What the mean is for who stays as he was: what the run began with, or what was demonstrated."""

    def take_in(self, seen: Tensors) -> None:
        """See how large numbers are; called while the critic learns alone."""

    def drawn(self, mean: Tensor, generator: torch.Generator) -> Tensor:
        """Something around the mean."""
        added = torch.randn(mean.shape, generator=generator, device=mean.device)
        return mean + self.log_deviation.exp() * added

    def log_probability(self, drawn: Tensor, mean: Tensor) -> Tensor:
        """(n,), but for a constant."""
        return (-0.5 * ((drawn - mean) / self.log_deviation.exp()).square() - self.log_deviation).sum((1, 2))

    def away(self, mean: Tensor, before: Tensor) -> Tensor:
        """(n,): KL of the distribution around one mean from that around the other."""
        return 0.5 * ((mean - before) / self.log_deviation.detach().exp()).square().sum((1, 2))


class NoiseExplorer(Explorer):
    """Draws the noise that chunks are made of, from where a network says that it should be drawn. Only that network
    learns, and exploring costs no success: every chunk is one that the policy might have made.

    Args:
        policy, execute: As `Explorer` has them.
        width: Of the network.
    """

    def __init__(self, policy: ChunkPolicy, execute: int, width: int) -> None:
        super().__init__(policy, execute)
        self.policy.requires_grad_(False)
        if self.policy.steering is None:
            add_steering(self.policy, width)
        assert self.policy.steering is not None
        self._steering: NoiseSteering = self.policy.steering.requires_grad_(True)
        self._before = (copy.deepcopy(self._steering).requires_grad_(False),)  # no part of this module
        self.log_deviation = self._steering.log_deviation

    def explore(
        self, observations: Tensors, noise: Tensor, begin: Tensor | None, generator: torch.Generator
    ) -> Explored:
        seen = {"condition": self.policy.embed(observations)}
        mean = self.mean(seen)
        drawn = self.drawn(mean, generator)
        begun = torch.cat((drawn.unsqueeze(1), noise[:, 1:]), dim=1)
        return Explored(seen=seen, mean=mean, drawn=drawn, chunk=_made(self.policy, observations, begun, begin))

    def mean(self, seen: Tensors) -> Tensor:
        return self._steering.mean(seen["condition"])

    def before(self, seen: Tensors) -> Tensor:
        return self._before[0].mean(seen["condition"])


class ActionExplorer(Explorer):
    """Adds to the actions. All of the policy learns, and may come to do what nobody showed.

    Added is what changes slowly within a chunk: the first cosines of its discrete cosine transform, whose coefficients
    are what is drawn. A robot follows that, and fewer numbers explain the outcome. The noise is part of what the policy
    sees, so that one that does this or that stays one. It is the last step of a denoising chain whose earlier steps add
    nothing (Ren et al. 2024, "Diffusion Policy Policy Optimization": there all do, to each action by itself).

    Args:
        policy, execute: As `Explorer` has them.
        cosines: How many of them, at most as many as actions are done.
        deviation: Standard deviation at the start of what one of them adds to an action, scaled.
    """

    def __init__(self, policy: ChunkPolicy, execute: int, cosines: int, deviation: float) -> None:
        super().__init__(policy, execute)
        self._basis = _cosines(execute, min(cosines, execute))
        drawn = (self._basis.shape[1], policy.spec.action_size)
        self.log_deviation = nn.Parameter(torch.full(drawn, deviation * execute**0.5).log())
        self._before = (copy.deepcopy(self.policy).eval().requires_grad_(False),)  # no part of this module

    def explore(
        self, observations: Tensors, noise: Tensor, begin: Tensor | None, generator: torch.Generator
    ) -> Explored:
        seen = {**observations, _NOISE: noise}
        own = self._own(self.policy, seen)
        mean = self._basis.T @ own[:, : self.execute]
        drawn = self.drawn(mean, generator)
        done = own[:, : self.execute] + self._basis @ (drawn - mean)
        return Explored(seen=seen, mean=mean, drawn=drawn, chunk=torch.cat((done, own[:, self.execute :]), dim=1))

    def mean(self, seen: Tensors) -> Tensor:
        return self._basis.T @ self._own(self.policy, seen)[:, : self.execute]

    def before(self, seen: Tensors) -> Tensor:
        return self._basis.T @ self._own(self._before[0], seen)[:, : self.execute]

    def _own(self, policy: DenoisingPolicy[object], seen: Tensors) -> Tensor:
        """Scaled chunks that the policy would do."""
        observations = {name: rows for name, rows in seen.items() if name != _NOISE}
        noise = seen[_NOISE]
        if policy.steering is not None:
            noise = policy.steering(policy.embed(observations), noise)
        return _made(policy, observations, noise, None)


class CorrectionExplorer(Explorer):
    """Makes a plan at every tick, near to the one before, and adds to its first action; only the network that says what
    is added learns. It sees at every tick what came of it, where `ActionExplorer` sees that once a chunk, and it is
    small, so that millions of ticks are learned from in minutes.

    Args:
        policy: As `Explorer` has it.
        width: Of that network.
        deviation: Standard deviation at the start of what is added to an action, scaled.
    """

    def __init__(self, policy: ChunkPolicy, width: int, deviation: float) -> None:
        super().__init__(policy, 1)
        self.policy.requires_grad_(False)
        if self.policy.correction is None:
            add_correction(self.policy, width, deviation)
        assert self.policy.correction is not None
        self._correction: Correction = self.policy.correction.requires_grad_(True)
        self.log_deviation = self._correction.log_deviation

    def explore(
        self, observations: Tensors, noise: Tensor, begin: Tensor | None, generator: torch.Generator
    ) -> Explored:
        plan = _made(self.policy, observations, noise, begin)
        seen = {"seen": self._correction.sees(self.policy.rows(observations), plan)}
        mean = self.mean(seen)
        drawn = self.drawn(mean, generator)
        chunk = torch.cat((plan[:, :1] + drawn, plan[:, 1:]), dim=1)
        return Explored(seen=seen, mean=mean, drawn=drawn, chunk=chunk)

    def mean(self, seen: Tensors) -> Tensor:
        return self._correction.mean(seen["seen"])

    def before(self, seen: Tensors) -> Tensor:
        """No correction at all."""
        return seen["seen"].new_zeros(len(seen["seen"]), 1, self.policy.spec.action_size)

    def take_in(self, seen: Tensors) -> None:
        self._correction.take_in(seen["seen"])


def _cosines(length: int, count: int) -> Tensor:
    """(length, count): the first columns of the orthonormal discrete cosine transform (DCT-II)."""
    middles = (torch.arange(length, dtype=torch.float64) + 0.5) * (math.pi / length)
    columns = (middles.unsqueeze(1) * torch.arange(count)).cos()
    return (columns / columns.norm(dim=0)).float()


def _made(policy: DenoisingPolicy[object], observations: Tensors, noise: Tensor, begin: Tensor | None) -> Tensor:
    """Scaled chunks of noise, near to `begin` where there is one."""
    condition = policy.embed(observations)
    return policy.denoised(lambda chunk, time: policy.denoiser(chunk, time, condition), noise, begin, None)


def _suitable(policy: ChunkPolicy) -> DenoisingPolicy[object]:
    if not isinstance(policy, DenoisingPolicy) or policy.draws == 0:
        raise ValueError(
            f"{type(policy).__name__} makes one chunk of an observation, not one of several: fine-tune a policy that "
            "draws, such as a student of isthmus-distill"
        )
    if policy.spec.cameras or policy.spec.goal:
        raise ValueError("policies that see images or are told a goal cannot be fine-tuned yet")
    if not policy.is_bounded:
        raise ValueError(f"actions scaled by {policy.normalizer.modes[policy.spec.action]} have no range to explore")
    return policy
