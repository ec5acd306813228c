"""Images shifted at random, as off-policy learning from few images needs (Yarats et al. 2021, "Image Augmentation Is
All You Need", DrQ)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from isthmus_policies.algorithms.sac.replay import Transitions
from isthmus_policies.networks.policy import Tensors


def with_shifts(batch: Transitions, most: int, generator: torch.Generator) -> Transitions:
    """The batch with every image group shifted, before and after the step by itself."""
    seen, after = (_shifted_groups(groups, most, generator) for groups in (batch.observations, batch.next))
    return replace(batch, observations=seen, next=after)


def _shifted_groups(groups: Tensors, most: int, generator: torch.Generator) -> Tensors:
    return {
        name: shifted(value, most, generator) if value.dtype == torch.uint8 else value for name, value in groups.items()
    }


def shifted(images: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Images (n, *, H, W, 3), each moved by up to `most` pixels along both axes; pixels at the border are repeated. All
    images of a window move alike."""
    n, (height, width) = len(images), images.shape[-3:-1]
    windows = images.reshape(n, -1, height, width, images.shape[-1])
    down, right = torch.randint(-most, most + 1, (2, n, 1), generator=generator, device=images.device)
    rows = (torch.arange(height, device=images.device) + down).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) + right).clamp(0, width - 1)
    of, image = torch.arange(n, device=images.device), torch.arange(windows.shape[1], device=images.device)
    moved = windows[
        of[:, None, None, None], image[None, :, None, None], rows[:, None, :, None], columns[:, None, None, :]
    ]
    return moved.reshape(images.shape)
