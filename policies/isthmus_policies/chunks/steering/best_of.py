"""One of several chunks of a policy: the best by a scorer, any of them, or the one that is most like the others.

What chooses is a chunk policy like that which is chosen from, so whatever runs the one runs the other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from isthmus_policies.chunks.chunk_policy import ChunkPolicy, Tensors, expanded
from isthmus_policies.chunks.steering.scorer import Scorer


class Choice(nn.Module, ABC):
    """Says which chunk is done."""

    @abstractmethod
    def forward(self, observations: Tensors, chunks: Tensor) -> Tensor:
        """(m,) from 0 to n - 1, for observations of m robots with chunks (m, n, horizon, action_size) each."""


class Best(Choice):
    """Takes the chunk with the highest score."""

    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        self.scorer = scorer

    def forward(self, observations: Tensors, chunks: Tensor) -> Tensor:
        m, n = chunks.shape[:2]
        return self.scorer(repeated(observations, n), chunks.flatten(0, 1)).view(m, n).argmax(dim=1)


class First(Choice):
    """Takes the first chunk. All are drawn alike, so this is a random one."""

    def forward(self, observations: Tensors, chunks: Tensor) -> Tensor:
        return torch.zeros(len(chunks), dtype=torch.long, device=chunks.device)


class Medoid(Choice):
    """Takes the chunk whose distances from the others, in units of `scale` (action_size,), have the least sum."""

    scale: Tensor

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)

    def forward(self, observations: Tensors, chunks: Tensor) -> Tensor:
        rows = (chunks / self.scale).flatten(2)
        return torch.cdist(rows, rows).sum(dim=2).argmin(dim=1)


class OneOf(ChunkPolicy):
    """Draws n chunks of a policy for each observation, and gives one of them.

    Args:
        policy: What draws.
        n: How many.
        choice: Which one.

    Raises:
        ValueError: no chunk would be drawn.
    """

    def __init__(self, policy: ChunkPolicy, n: int, choice: Choice) -> None:
        super().__init__(policy.spec, policy.normalizer)
        if n < 1:
            raise ValueError(f"one of {n} chunks: it must be at least 1")
        self.policy, self.n, self.choice = policy, n, choice
        self.draws = n * policy.draws

    def embed(self, observations: Tensors, goal: Tensors | None = None) -> Tensor:
        return self.policy.embed(observations, goal)

    def loss(self, batch: Tensors, generator: torch.Generator) -> Tensor:
        return self.policy.loss(batch, generator)

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
        observations = expanded(observations, n)
        m = next(iter(observations.values())).shape[0]
        noise = self.noise(m) if noise is None else noise
        chunks = self.policy.sample(
            repeated(observations, self.n),
            noise=noise.reshape(m * self.n, self.policy.draws, *noise.shape[2:]),
            init=None if init is None else init.repeat_interleave(self.n, dim=0),
            steps=steps,
            goal=None if goal is None else repeated(expanded(goal, n), self.n),
            guidance=guidance,
        ).unflatten(0, (m, self.n))
        return chunks[torch.arange(m, device=chunks.device), self.choice(observations, chunks)]


def best_of(policy: ChunkPolicy, n: int, scorer: Scorer) -> OneOf:
    """The policy with the best of n chunks (Nakamoto et al. 2024, "Steering Your Generalists"). Raises ValueError for a
    policy with goals, which scorers know nothing of."""
    if policy.spec.goal:
        raise ValueError(f"scorers know no goals, and the policy is told one in {', '.join(policy.spec.goal)}")
    return OneOf(policy, n, Best(scorer))


def random_of(policy: ChunkPolicy, n: int) -> OneOf:
    """The policy with any of n chunks: what a scorer is compared with, at the same cost of drawing."""
    return OneOf(policy, n, First())


def mode_of(policy: ChunkPolicy, n: int) -> OneOf:
    """The policy with the one of n chunks that is most like the others."""
    return OneOf(policy, n, Medoid(policy.normalizer.scale(policy.spec.action)))


def repeated(observations: Tensors, n: int) -> dict[str, Tensor]:
    """Each row n times, one after the other."""
    return {name: value.repeat_interleave(n, dim=0) for name, value in observations.items()}
