"""Convolutional encoder of camera images."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from isthmus_sim.task import Group


@dataclass(frozen=True, kw_only=True)
class CnnConfig:
    """Sizes of the image encoder. It sees 64x64 images at some thousand a second and core."""

    patch: int = 4
    """The first layer makes one place of each square of so many pixels."""
    overlap: int = 1
    """By so many pixels it also looks over the square's edges, so that what lies across one is seen whole."""
    channels: tuple[int, ...] = (16, 16, 32)
    """Channels of each layer; those after the first have 3x3 kernels."""
    spatial_softmax: bool = True
    """Whether features are the places at which each channel is strongest (Levine et al. 2016, "End-to-End Training of
    Deep Visuomotor Policies"). Otherwise they are `features` mixtures of everything."""
    features: int = 64
    """Number of features without the spatial softmax."""

    def __post_init__(self) -> None:
        if min(self.patch, self.features, *self.channels) < 1 or self.overlap < 0 or not self.channels:
            raise ValueError(f"an image encoder's patch, channels and features are at least 1, overlap 0; got {self}")


class Cnn(nn.Module):
    """uint8 images (..., height, width, channels), or windows of k of them (..., k, height, width, channels), to
    features (..., size). Layers are normalised by GroupNorm (Wu & He 2018), which knows nothing of the batch."""

    def __init__(self, group: Group, config: CnnConfig) -> None:
        """Raises ValueError for a group that holds no images, or images smaller than a patch."""
        super().__init__()
        height, width = image_size(group)
        if min(height, width) < config.patch:
            raise ValueError(f"images of {height}x{width} are smaller than a patch of {config.patch}")
        self._axes = len(group.shape)
        rows, columns = height // config.patch, width // config.patch
        channels = group.shape[-1] * math.prod(group.shape[:-3])
        kernel = config.patch + 2 * config.overlap
        layers = [nn.Conv2d(channels, config.channels[0], kernel, config.patch, config.overlap)]
        layers += [nn.Conv2d(i, o, 3, padding=1) for i, o in itertools.pairwise(config.channels)]
        # What goes into a softmax needs neither norm nor activation before it.
        bare = 1 if config.spatial_softmax else 0
        count = len(layers) - bare
        self.layers = nn.Sequential(*(part for conv in layers[:count] for part in _normalised(conv)), *layers[count:])
        last = config.channels[-1]
        if config.spatial_softmax:
            self.pool, self.size = SpatialSoftmax(rows, columns), 2 * last
        else:
            mix = nn.Linear(last * rows * columns, config.features)
            self.pool, self.size = nn.Sequential(nn.Flatten(), mix, nn.ReLU()), config.features

    def forward(self, images: Tensor) -> Tensor:
        lead = images.shape[: -self._axes]
        flat = images.flatten(0, -self._axes - 1)
        return self.pool(self.layers(_planes(flat))).unflatten(0, lead)


class SpatialSoftmax(nn.Module):
    """Feature maps (n, channels, rows, columns) to the mean place of each, its softmax being the weight: (n, 2 *
    channels), columns then rows, each from -1 to 1. How sharp the softmax is, is learned."""

    SHARPNESS = 5.0
    """At the start: with 1, the mean of a map that has a peak is still near its middle, and learning begins slowly."""
    grid: Tensor

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        y, x = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
        self.register_buffer("grid", torch.stack((x.flatten(), y.flatten()), dim=-1), persistent=False)
        self.sharpness = nn.Parameter(torch.tensor(self.SHARPNESS))

    def forward(self, maps: Tensor) -> Tensor:
        weight = (self.sharpness * maps.flatten(2)).softmax(-1)
        return (weight @ self.grid).transpose(1, 2).flatten(1)


def image_size(group: Group) -> tuple[int, int]:
    """Height and width of a group's images. Raises ValueError where it holds none."""
    if not is_image(group):
        raise ValueError(f"{group.shape} {group.dtype} are no images: (height, width, channels) uint8, or windows of k")
    return group.shape[-3], group.shape[-2]


def is_image(group: Group) -> bool:
    """Whether a group holds images or windows of images, rather than vectors."""
    return group.dtype == "uint8" and len(group.shape) in (3, 4)


def _normalised(conv: nn.Conv2d) -> tuple[nn.Module, ...]:
    """A layer with its normalisation, in groups of 4 channels where they divide, and activation."""
    channels = conv.out_channels
    return conv, nn.GroupNorm(channels // 4 if channels % 4 == 0 else 1, channels), nn.ReLU()


def _planes(images: Tensor) -> Tensor:
    """(n, [k,] height, width, channels) uint8 -> (n, k * channels, height, width) in [-0.5, 0.5]."""
    stacked = images.movedim(-1, -3).flatten(1, -3)
    return stacked.to(torch.float32, memory_format=torch.contiguous_format).mul_(1 / 255).sub_(0.5)
