"""What a chunk policy is: observations of the last steps to the next actions, all at once; and the methods by name.

It knows datasets' columns, and neither the robot nor time: `ChunkExecutor` does. Anyone registers one under the entry
point `isthmus.chunk_policies`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from isthmus_datasets.training.normalizer import Normalizer
from isthmus_sim.registry import Registry

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class SeenFrom:
    """A place in the plane that the network is also told in a moving frame, such as a disc as a block sees it.

    Args:
        place: Which of a column's numbers are its x and y.
        pose: Which of them are the frame's x, y and angle, rad: that of its x axis to the other one, towards y.
    """

    place: tuple[int, int]
    pose: tuple[int, int, int]

    @property
    def numbers(self) -> tuple[int, ...]:
        return (*self.place, *self.pose)

    def of(self, rows: Tensor) -> Tensor:
        """Rows (…, size) in their unit -> the place in the frame (…, 2), in the same."""
        x, y, angle = (rows[..., place] for place in self.pose)
        across, along = rows[..., self.place[0]] - x, rows[..., self.place[1]] - y
        cosine, sine = angle.cos(), angle.sin()
        return torch.stack((cosine * across + sine * along, cosine * along - sine * across), dim=-1)


@dataclass(frozen=True, kw_only=True)
class ChunkSpec:
    """What a chunk policy reads and gives, as the columns of its dataset have it.

    Args:
        fps: Control steps a second.
        columns: Observed column -> numbers a row.
        cameras: Camera -> (H, W) at which the policy sees it.
        action: Column of the action.
        action_size: Numbers of an action.
        observed: Rows of an observation, up to the current step.
        horizon: Actions of a chunk. The first one belongs to the current step.
        goal: Those of the columns that a goal is told in; empty for a policy without goals.
        angles: Observed column -> which of its numbers are angles, rad. The network sees their cosine and sine: it
            would take 0 and 2π for as different as can be.
        frames: Observed column -> places among its numbers that the network is also told in a moving frame.

    Raises:
        ValueError: nothing is observed, or the action is, a size is not positive, the goal, angles or frames name what
            is not observed, or a column has no such number.
    """

    fps: int
    columns: dict[str, int]
    cameras: dict[str, tuple[int, int]] = field(default_factory=dict)
    action: str = "action"
    action_size: int
    observed: int = 2
    horizon: int = 16
    goal: tuple[str, ...] = ()
    angles: dict[str, tuple[int, ...]] = field(default_factory=dict)
    frames: dict[str, tuple[SeenFrom, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.columns and not self.cameras:
            raise ValueError("a chunk policy needs at least one observed column or camera")
        sizes = (self.fps, self.action_size, self.observed, self.horizon, *self.columns.values())
        if min(sizes) < 1:
            raise ValueError(f"rate, sizes, observed rows and horizon must be positive: {self}")
        if self.action in self.columns:
            raise ValueError(
                f"{self.action} is what the policy gives, and no observation: observe a column of what was sent before"
            )
        if unknown := sorted(set(self.goal) - set(self.columns)):
            known = ", ".join(self.columns) or "none"
            raise ValueError(f"the goal names {', '.join(unknown)}, which is not observed; observed columns: {known}")
        for name, places in self.angles.items():
            self._check("angles", name, places)
        for name, frames in self.frames.items():
            self._check("frames", name, tuple(place for seen in frames for place in seen.numbers))

    def _check(self, what: str, column: str, places: tuple[int, ...]) -> None:
        if not all(0 <= place < self.columns.get(column, 0) for place in places):
            has = f"has numbers 0 to {self.columns[column] - 1}" if column in self.columns else "is not observed"
            raise ValueError(f"{what} are said to be {places} of {column}, which {has}")

    def size(self, column: str) -> int:
        """How many numbers the network sees of a column's row."""
        return self.columns[column] + len(self.angles.get(column, ())) + 2 * len(self.frames.get(column, ()))


class ChunkPolicy(nn.Module, ABC):
    """Observations -> chunks, batched over the first axis; in and out in the dataset's units.

    Observations are column -> (n, observed, size) and camera -> (n, observed, 3, H, W) uint8, as `WindowDataset` gives
    them; a goal is column -> (n, size).

    Args:
        spec: What is read and given.
        normalizer: Scales the columns and the action; fitted to the training episodes.
    """

    draws: int = 1
    """How many arrays of noise, each of a chunk's shape, a sample needs; 0 for a method that draws nothing."""
    plans_every_tick: bool = False
    """Whether a chunk is a plan of which only the first action shall be done, before the next one is made near it."""

    def __init__(self, spec: ChunkSpec, normalizer: Normalizer) -> None:
        super().__init__()
        self.spec, self.normalizer = spec, normalizer

    @abstractmethod
    def embed(self, observations: Tensors, goal: Tensors | None = None) -> Tensor:
        """(n, features): what the policy makes of the observations and, if there is one, the goal."""

    @abstractmethod
    def loss(self, batch: Tensors, generator: torch.Generator) -> Tensor:
        """The scalar that training makes small, on a batch of windows."""

    @abstractmethod
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
        """Chunks (n, horizon, action_size).

        Args:
            observations: Of n robots, or of one for which n chunks are drawn.
            n: How many chunks; None for as many as there are observations.
            noise: (n, draws, horizon, action_size), standard normal; None to draw it from torch's own generator.
            init: (n, horizon, action_size): a chunk to begin near to, such as the last one shifted to now; None for
                pure noise. Methods that draw nothing have no use for it.
            steps: Evaluations of the network; None for as many as the method is configured with.
            goal: Where to; None for anywhere.
            guidance: How much more than the policy without a goal the goal counts (Ho & Salimans 2022,
                "Classifier-Free Diffusion Guidance"); 1 for a goal as it was trained.

        Raises:
            ValueError: A goal for a policy without goals, or an impossible number of steps.
        """

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """What n samples need: (n, draws, horizon, action_size), standard normal."""
        device = self.normalizer.offset(self.spec.action).device
        shape = (n, self.draws, self.spec.horizon, self.spec.action_size)
        return torch.randn(shape, generator=generator, device=device)

    def scaled(self, batch: Tensors) -> dict[str, Tensor]:
        """A batch, observations or a goal as the network sees them."""
        return scaled(self.spec, self.normalizer, batch)

    def actions(self, normalized: Tensor) -> Tensor:
        """Scaled chunks in the dataset's unit; none leaves the range of what was demonstrated, where that is known."""
        bounded = normalized.clamp(-1.0, 1.0) if self.is_bounded else normalized
        return self.normalizer.unnormalize(self.spec.action, bounded)

    @property
    def is_bounded(self) -> bool:
        """Whether scaled actions of the training episodes lie within [-1, 1]."""
        return self.normalizer.modes[self.spec.action] == "min_max"


@dataclass(frozen=True, kw_only=True)
class ChunkPolicyEntry:
    """A registered method.

    config: The default configuration, a frozen dataclass.
    make: Configuration, spec, normalizer, encoder and denoiser -> policy. Raises ValueError where they do not fit.
    denoises: Whether it takes a denoiser; None is given to those that do not.
    """

    config: Any
    make: Callable[..., ChunkPolicy]
    denoises: bool = True


CHUNK_POLICIES = Registry("isthmus.chunk_policies", "chunk policy", ChunkPolicyEntry)
"""The methods by name."""


def scaled(spec: ChunkSpec, normalizer: Normalizer, batch: Tensors) -> dict[str, Tensor]:
    """A batch, observations or a goal as networks see them: scaled; angles as their cosine and, behind the column's
    other numbers, their sine; behind these, places in moving frames, on their own x's scale both ways."""
    result = normalizer(batch)
    for column in {**spec.angles, **spec.frames}:
        for name in {column, f"goal.{column}"} & batch.keys():
            result[name] = _told(spec, normalizer, column, batch[name], result[name])
    return result


def _told(spec: ChunkSpec, normalizer: Normalizer, column: str, raw: Tensor, normalized: Tensor) -> Tensor:
    """What a network is told of a column's rows (…, size): (…, spec.size(column))."""
    angles, frames, parts = spec.angles.get(column, ()), spec.frames.get(column, ()), [normalized]
    if angles:
        turning = torch.zeros(spec.columns[column], dtype=torch.bool, device=raw.device)
        turning[list(angles)] = True
        parts = [torch.where(turning, raw.cos(), normalized), raw[..., list(angles)].sin()]
    scale = normalizer.scale(column)
    return torch.cat((*parts, *(seen.of(raw) / scale[seen.place[0]] for seen in frames)), dim=-1)


def expanded(observations: Tensors, n: int | None) -> dict[str, Tensor]:
    """Observations of n robots; those of one are repeated. Raises ValueError for another number of them."""
    rows = next(iter(observations.values())).shape[0]
    if n is None or n == rows:
        return dict(observations)
    if rows != 1:
        raise ValueError(f"{n} chunks of {rows} observations: give one observation, or as many as chunks")
    return {name: value.expand(n, *value.shape[1:]) for name, value in observations.items()}
