"""Changes of images that a learner should not mind: each the same for all frames of a window, of all its cameras, and
by its draw alone. `Transform`s, one after the other by `Sequential`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus_datasets.training.numbered_random import WindowRandom

_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Sequential:
    """One after the other, on images (B, n, 3, H, W) uint8."""

    transforms: tuple[Callable[[Tensor, WindowRandom], Tensor], ...]

    def __call__(self, images: Tensor, random: WindowRandom) -> Tensor:
        for transform in self.transforms:
            images = transform(images, random)
        return images


@dataclass(frozen=True, kw_only=True)
class RandomCrop:
    """A part of each image as large as it, moved by up to `pixels` each way; beyond the edge stand the edge's pixels
    (Kostrikov et al. 2020, "Image Augmentation Is All You Need")."""

    pixels: int = 4

    def __call__(self, images: Tensor, random: WindowRandom) -> Tensor:
        height, width = images.shape[-2:]
        moved = (random.uniform(2).T[:, :, None] * (2 * self.pixels + 1)).long() - self.pixels
        rows = (torch.arange(height) + moved[0]).clamp(0, height - 1)
        columns = (torch.arange(width) + moved[1]).clamp(0, width - 1)
        result = torch.empty_like(images)
        for window in range(len(images)):
            result[window] = images[window].index_select(-2, rows[window]).index_select(-1, columns[window])
        return result


@dataclass(frozen=True, kw_only=True)
class ColorJitter:
    """Brightness, contrast and saturation, each times a factor from 1 - x to 1 + x."""

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2

    def __call__(self, images: Tensor, random: WindowRandom) -> Tensor:
        spread = torch.tensor((self.brightness, self.contrast, self.saturation))
        factors = 1.0 + spread * (2.0 * random.uniform(3) - 1.0)
        bright, contrast, color = factors.T[:, :, None, None, None, None]
        values = images.float() * bright
        grey = (values * torch.tensor(_GREY)[:, None, None]).sum(-3, keepdim=True)
        values = grey + color * (values - grey)
        middle = grey.mean((1, 2, 3, 4), keepdim=True)
        return (middle + contrast * (values - middle)).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True, kw_only=True)
class Blur:
    """A Gaussian of up to `sigma` pixels, for a share of the windows."""

    sigma: float = 1.0
    share: float = 0.5

    def __call__(self, images: Tensor, random: WindowRandom) -> Tensor:
        _, frames, channels, height, width = images.shape
        drawn = random.uniform(2).T
        sigma = torch.where(drawn[0] < self.share, drawn[1] * self.sigma, 0.0).clamp(min=1e-3)
        reach = max(1, round(2.0 * self.sigma))
        kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma[:, None]) ** 2)
        kernel = (kernel / kernel.sum(-1, keepdim=True)).repeat_interleave(frames * channels, 0)[:, None]
        values = images.float().reshape(1, -1, height, width)
        for shape, pad in (((-1, 1), (0, 0, reach, reach)), ((1, -1), (reach, reach, 0, 0))):
            weights = kernel.reshape(len(kernel), 1, *(len(kernel[0, 0]) if size == -1 else 1 for size in shape))
            values = F.conv2d(F.pad(values, pad, mode="replicate"), weights, groups=len(kernel))
        return values.round().clamp(0, 255).to(torch.uint8).reshape(images.shape)
