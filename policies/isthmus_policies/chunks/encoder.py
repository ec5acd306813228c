"""What a chunk policy sees, as one vector: columns scaled, images through a residual network, of all observed rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from isthmus_policies.chunks.chunk_policy import ChunkSpec, Tensors
from isthmus_policies.networks.cnn import SpatialSoftmax

_LAST = torch.channels_last
GROUP = 16  # channels of a group of GroupNorm, as Chi et al. 2023 have it


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """Sizes of the residual network (He et al. 2016) that reads a camera. The default is small enough for a CPU;
    width 64 with two blocks a stage is ResNet-18."""

    width: int = 16
    """Channels of the first stage; each later one has twice as many."""
    blocks: tuple[int, ...] = (1, 1, 1)
    """Residual blocks of each stage; each stage after the first halves height and width."""
    keypoints: int = 32
    """Places that the spatial softmax gives (Levine et al. 2016)."""

    def __post_init__(self) -> None:
        if self.width % 4 or not self.blocks or min(self.width, self.keypoints, *self.blocks) < 1:
            raise ValueError(
                f"an image encoder has a width that 4 divides, and at least one block and keypoint: {self}"
            )


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """How observations are read."""

    image: ImageConfig = field(default_factory=ImageConfig)
    width: int = 0
    """Width of a perceptron that reads all that is seen together; 0 for none, which leaves that to the denoiser."""
    goal_dropout: float = 0.1
    """Share of the training windows whose goal is kept from the policy, so that it also learns to do without."""


class ObservationEncoder(nn.Module):
    """Scaled observations, and the goal if the policy has one, to a vector (n, size).

    Args:
        spec: What is observed.
        config: Sizes.
    """

    def __init__(self, spec: ChunkSpec, config: EncoderConfig) -> None:
        super().__init__()
        self.spec, self.config = spec, config
        # A module's name has no dot, a column's has.
        self.images = nn.ModuleDict(
            {_module(name): ResidualNetwork(size, config.image) for name, size in spec.cameras.items()}
        )
        goal = sum(spec.size(name) for name in spec.goal)
        self.sizes = [*map(spec.size, spec.columns), *(2 * config.image.keypoints for _ in spec.cameras)]
        seen = spec.observed * sum(self.sizes) + (goal + 1 if spec.goal else 0)
        self.together = _perceptron(seen, config.width) if config.width else nn.Identity()
        self.size = config.width or seen

    def forward(self, observations: Tensors, goal: Tensors | None = None, told: Tensor | None = None) -> Tensor:
        """told: (n,) bool, whose goal is not kept from the policy; None for all. Raises ValueError for a goal where the
        policy has none."""
        parts = [part.flatten(1) for part in self.parts(observations)]
        if goal is not None and not self.spec.goal:
            raise ValueError("this policy was trained without goals: it cannot be given one")
        return self.together(torch.cat([*parts, *self._goal(goal, told, parts[0])], dim=-1))

    def parts(self, observations: Tensors) -> list[Tensor]:
        """What each column and camera shows, row by row: each (n, observed, its size of `sizes`)."""
        columns = [observations[name].flatten(2) for name in self.spec.columns]
        return [*columns, *(self._seen(name, observations[name]) for name in self.spec.cameras)]

    def _seen(self, camera: str, images: Tensor) -> Tensor:
        return self.images[_module(camera)](images.flatten(0, 1)).unflatten(0, images.shape[:2])

    def _goal(self, goal: Tensors | None, told: Tensor | None, like: Tensor) -> Sequence[Tensor]:
        """The scaled goal and a 1, or zeros."""
        if not self.spec.goal:
            return ()
        n, size = like.shape[0], sum(self.spec.size(name) for name in self.spec.goal)
        if goal is None:
            return (like.new_zeros(n, size + 1),)
        values = [goal[name].flatten(1) for name in self.spec.goal]
        known = torch.cat([*values, like.new_ones(n, 1)], dim=-1)
        return (known if told is None else known * told.unsqueeze(-1),)


class ResidualNetwork(nn.Module):
    """uint8 images (n, 3, H, W) -> places (n, 2 keypoints). GroupNorm (Wu & He 2018) instead of BatchNorm, which does
    not go with averaged weights (Chi et al. 2023)."""

    def __init__(self, size: tuple[int, int], config: ImageConfig) -> None:
        super().__init__()
        width = config.width
        stages: list[nn.Module] = [nn.Conv2d(3, width, 7, stride=2, padding=3), _norm(width), nn.ReLU()]
        stages += [nn.MaxPool2d(3, stride=2, padding=1)]
        channels = width
        for stage, blocks in enumerate(config.blocks):
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                stages.append(_Block(channels, width << stage, stride))
                channels = width << stage
        # Channels last: a CPU learns from images of 96x96 in a quarter less time, from 64x64 in the same.
        self.stages = nn.Sequential(*stages, nn.Conv2d(channels, config.keypoints, 1))
        self.stages.to(memory_format=_LAST)  # pyright: ignore[reportCallIssue] (torch's overloads do not know it)
        with torch.no_grad():
            _, _, rows, columns = self.stages(torch.zeros(1, 3, *size)).shape
        self.pool = SpatialSoftmax(rows, columns)

    def forward(self, images: Tensor) -> Tensor:
        scaled = images.float() / 127.5 - 1.0
        return self.pool(self.stages(scaled.contiguous(memory_format=_LAST)))


class _Block(nn.Module):
    """Two 3x3 convolutions around which the input goes too (He et al. 2016, the basic block)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False), _norm(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), _norm(outputs),
        )  # fmt: skip
        changes = stride > 1 or inputs != outputs
        self.around = nn.Conv2d(inputs, outputs, 1, stride=stride) if changes else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(self.layers(maps) + self.around(maps))


def _perceptron(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
    )


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // GROUP), channels)


def _module(name: str) -> str:
    return name.replace(".", "/")
