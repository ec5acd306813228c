"""Observation groups to one vector: numbers normalised, images through a convolutional network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isthmus_policies.networks.cnn import Cnn, CnnConfig, is_image
from isthmus_policies.networks.normalizer import RunningNormalizer
from isthmus_policies.networks.policy import Groups, Tensors, require_groups


class Encoder(nn.Module):
    """The groups `names`, one after the other, as features (..., size)."""

    def __init__(self, groups: Groups, names: tuple[str, ...], image: CnnConfig | None = None) -> None:
        """image: How images are read; None where they cannot be. Raises ValueError for a name that is no group, and for
        a group that cannot be read."""
        super().__init__()
        require_groups(names, groups)
        if not names:
            raise ValueError(f"no observation group to read; the task has: {', '.join(groups)}")
        self.names = names
        self._axes = {name: len(groups[name].shape) for name in names}
        parts = {name: _part(name, groups, image) for name in names}
        self._sizes = [part.size for part in parts.values()]
        self.size = sum(self._sizes)
        self.parts = nn.ModuleDict(parts)

    def forward(self, observations: Tensors) -> Tensor:
        features = [self._read(name, observations[name]) for name in self.names]
        return features[0] if len(features) == 1 else torch.cat(features, dim=-1)

    def part_of(self, features: Tensor, names: tuple[str, ...]) -> Tensor:
        """Pick from features (..., size) those that come from the groups `names`."""
        if names == self.names:
            return features
        parts = dict(zip(self.names, features.split(self._sizes, dim=-1), strict=True))
        return torch.cat([parts[name] for name in names], dim=-1)

    def size_of(self, names: tuple[str, ...]) -> int:
        """How many features come from the groups `names`."""
        return sum(size for name, size in zip(self.names, self._sizes, strict=True) if name in names)

    def _read(self, name: str, rows: Tensor) -> Tensor:
        part = self.parts[name]
        return part(rows) if isinstance(part, Cnn) else part(rows.flatten(-self._axes[name]))

    def normalizers(self) -> list[tuple[str, RunningNormalizer]]:
        """The groups that are normalised, each with what normalises it."""
        return [(name, part) for name, part in self.parts.items() if isinstance(part, RunningNormalizer)]


def _part(name: str, groups: Groups, image: CnnConfig | None) -> Cnn | RunningNormalizer:
    group = groups[name]
    if group.dtype == "float32":
        return RunningNormalizer(group.size)
    if not is_image(group):
        raise ValueError(f"observation group {name!r} is {group.dtype} of shape {group.shape}: neither a vector of "
                         "float32 nor images (height, width, channels) of uint8")  # fmt: skip
    if image is None:
        vectors = ", ".join(n for n, g in groups.items() if g.dtype == "float32")
        raise ValueError(
            f"observation group {name!r} is an image {group.shape}, and this policy reads vectors only ({vectors}); "
            "choose one that reads images, such as cnn or gru"
        )
    try:
        return Cnn(group, image)
    except ValueError as error:
        raise ValueError(f"observation group {name!r}: {error}") from error
