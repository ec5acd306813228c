"""Implicit Q-learning (Kostrikov et al. 2022, "Offline Reinforcement Learning with Implicit Q-Learning") on chunks:
what a chunk is worth, learned from successes and failures without ever asking for actions that nobody has shown.

A transition is a chunk that was executed: from the observations before it to those after it. As a scorer it is that of
V-GPS (Nakamoto et al. 2024, "Steering Your Generalists").
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn

from isthmus_datasets.training.normalizer import Normalizer
from isthmus_policies.chunks.chunk_policy import ChunkSpec, Tensors, scaled
from isthmus_policies.chunks.encoder import EncoderConfig, ObservationEncoder


@dataclass(frozen=True, kw_only=True)
class IqlConfig:
    """Sizes and settings."""

    width: int = 256
    depth: int = 2
    """Hidden layers of each network."""
    expectile: float = 0.7
    """Which of what was done from an observation counts as its value: 0.5 is the mean, towards 1 the best."""
    discount: float = 0.99
    """What a reward is worth a control step later."""
    target_rate: float = 0.005
    """Share of themselves that the critics give to their targets in a step."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)

    def __post_init__(self) -> None:
        if min(self.width, self.depth) < 1:
            raise ValueError(f"width and depth must be at least 1: {self}")
        if not 0.5 <= self.expectile < 1.0 or not 0.0 < self.discount <= 1.0 or not 0.0 < self.target_rate <= 1.0:
            raise ValueError(
                "the expectile is from 0.5 to below 1, discount and target rate above 0 and at most 1, not "
                f"{self.expectile}, {self.discount} and {self.target_rate}"
            )


@dataclass(frozen=True, kw_only=True)
class Transitions:
    """n executed chunks, in the dataset's units.

    Args:
        before, after: Observations before and after the chunk, as a `ChunkPolicy` has them.
        chunks: (n, execute, action_size).
        reward: (n,), of the whole chunk, each step's discounted to its beginning.
        kept: (n,): what the value of `after` is worth at the chunk's beginning; 0 where the episode ends with it.
    """

    before: Tensors
    after: Tensors
    chunks: Tensor
    reward: Tensor
    kept: Tensor


class IqlScorer(nn.Module):
    """Scores chunks by the smaller of two critics, which read as much of a chunk as is executed.

    Args:
        config: Sizes and settings.
        spec: What is observed; its horizon is how much of a chunk is executed.
        normalizer: Scales the columns and the action.
    """

    def __init__(self, config: IqlConfig, spec: ChunkSpec, normalizer: Normalizer) -> None:
        super().__init__()
        self.config, self.spec, self.normalizer = config, spec, normalizer
        size = spec.horizon * spec.action_size
        self.critics = nn.ModuleList(_Network(config, spec, size) for _ in range(2))
        self.targets = copy.deepcopy(self.critics).requires_grad_(False)
        self.value = _Network(config, spec, 0)

    @torch.no_grad()
    def forward(self, observations: Tensors, chunks: Tensor) -> Tensor:
        """(n,) scores. Raises ValueError where observations or chunks are not those that it has learned on."""
        self._check(observations, chunks)
        return self._least(self.critics, scaled(self.spec, self.normalizer, observations), chunks)

    def loss(self, batch: Transitions) -> Tensor:
        """The scalar that training makes small: both critics' squared error and the value's expectile loss."""
        before, after = (scaled(self.spec, self.normalizer, seen) for seen in (batch.before, batch.after))
        with torch.no_grad():
            shown = self._least(self.targets, before, batch.chunks)
            expected = batch.reward + batch.kept * self.value(after)
        off = shown - self.value(before)
        weight = torch.where(off > 0.0, self.config.expectile, 1.0 - self.config.expectile)
        judged = self._judged(self.critics, before, batch.chunks)
        return (weight * off.square()).mean() + (judged - expected).square().sum(0).mean()

    @torch.no_grad()
    def follow(self) -> None:
        """The critics' targets come a little nearer to them."""
        for target, critic in zip(self.targets.parameters(), self.critics.parameters(), strict=True):
            target.lerp_(critic, self.config.target_rate)

    def _least(self, critics: nn.ModuleList, seen: Tensors, chunks: Tensor) -> Tensor:
        return self._judged(critics, seen, chunks).amin(0)

    def _judged(self, critics: nn.ModuleList, seen: Tensors, chunks: Tensor) -> Tensor:
        """(2, n): what each critic says."""
        executed = self.normalizer.normalize(self.spec.action, chunks[:, : self.spec.horizon]).flatten(1)
        return torch.stack([critic(seen, executed) for critic in critics])

    def _check(self, observations: Tensors, chunks: Tensor) -> None:
        spec = self.spec
        wanted = {name: (spec.observed, size) for name, size in spec.columns.items()}
        wanted |= {name: (spec.observed, 3, *size) for name, size in spec.cameras.items()}
        shapes = {name: tuple(value.shape[1:]) for name, value in observations.items()}
        if wrong := [name for name, shape in wanted.items() if shapes.get(name) != shape]:
            raise ValueError(
                f"the scorer observes {_told({name: wanted[name] for name in wrong})}; given are {_told(shapes)}: "
                "train it with the columns, cameras and observed rows of the policy"
            )
        if chunks.dim() != 3 or chunks.shape[1] < spec.horizon or chunks.shape[2] != spec.action_size:
            raise ValueError(
                f"the scorer judges chunks (n, {spec.horizon} or more, {spec.action_size}), not {tuple(chunks.shape)}"
            )


class _Network(nn.Module):
    """Scaled observations, and executed actions (n, extra), to (n,). Layers are normalised: critics without that go
    astray where they have no data (Ball et al. 2023, "Efficient Online Reinforcement Learning with Offline Data")."""

    def __init__(self, config: IqlConfig, spec: ChunkSpec, extra: int) -> None:
        super().__init__()
        self.encoder = ObservationEncoder(spec, config.encoder)
        sizes = [self.encoder.size + extra, *[config.width] * config.depth]
        hidden = [nn.Sequential(nn.Linear(a, b), nn.LayerNorm(b), nn.SiLU()) for a, b in pairwise(sizes)]
        self.layers = nn.Sequential(*hidden, nn.Linear(config.width, 1))

    def forward(self, seen: Tensors, *executed: Tensor) -> Tensor:
        return self.layers(torch.cat((self.encoder(seen), *executed), dim=-1)).squeeze(-1)


def _told(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())
