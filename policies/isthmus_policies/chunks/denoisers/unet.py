"""The one-dimensional U-Net of diffusion policy (Chi et al. 2023, after Janner et al. 2022): convolutions along the
chunk, which time and observation modulate (FiLM, Perez et al. 2018)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from isthmus_policies.chunks.denoisers.denoiser import Condition, Denoiser, DenoiserEntry


@dataclass(frozen=True, kw_only=True)
class UnetConfig:
    """Sizes. The paper's channels are 256, 512, 1024, which is 66M parameters; these are 4M, for a CPU."""

    channels: tuple[int, ...] = (64, 128, 256)
    """Each level has so many; each level but the last halves the chunk."""
    kernel: int = 5
    groups: int = 8
    """Groups of GroupNorm."""
    condition: int = 256
    """Size of time and observation together."""

    def __post_init__(self) -> None:
        if len(self.channels) < 2 or any(channels % self.groups for channels in self.channels) or self.kernel % 2 == 0:
            raise ValueError(f"a U-Net has two levels or more, channels that the groups divide, an odd kernel: {self}")


class UnetDenoiser(Denoiser):
    """Down over the levels, and up again with what each level had on the way down."""

    def __init__(self, config: UnetConfig, action_size: int, horizon: int, observed: int) -> None:
        super().__init__()
        halvings = len(config.channels) - 1
        if horizon % (1 << halvings):
            raise ValueError(
                f"a U-Net of {halvings + 1} levels needs a horizon that {1 << halvings} divides: {horizon}"
            )
        self.condition = Condition(observed, config.condition)

        def block(inputs: int, outputs: int) -> _Block:
            return _Block(inputs, outputs, config)

        sizes = (action_size, *config.channels)
        self.down = nn.ModuleList(nn.ModuleList((block(a, b), block(b, b))) for a, b in itertools.pairwise(sizes))
        self.shrink = nn.ModuleList(nn.Conv1d(c, c, 3, stride=2, padding=1) for c in config.channels[:-1])
        deepest = config.channels[-1]
        self.middle = nn.ModuleList((block(deepest, deepest), block(deepest, deepest)))
        pairs = list(itertools.pairwise(config.channels))[::-1]
        self.up = nn.ModuleList(nn.ModuleList((block(2 * b, a), block(a, a))) for a, b in pairs)
        self.grow = nn.ModuleList(nn.ConvTranspose1d(a, a, 4, stride=2, padding=1) for a, _ in pairs)
        first = config.channels[0]
        self.leave = nn.Sequential(_convolution(first, first, config), nn.Conv1d(first, action_size, 1))

    def forward(self, chunk: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        told = self.condition(time, condition)
        maps, passed = chunk.mT, []
        for level, blocks in enumerate(self.down):
            maps = _through(blocks, maps, told)
            passed.append(maps)
            if level < len(self.shrink):
                maps = self.shrink[level](maps)
        maps = _through(self.middle, maps, told)
        for blocks, grow in zip(self.up, self.grow, strict=True):
            maps = grow(_through(blocks, torch.cat((maps, passed.pop()), dim=1), told))
        return self.leave(maps).mT


class _Block(nn.Module):
    """Two convolutions, the condition's scale and shift between them, and the input around them."""

    def __init__(self, inputs: int, outputs: int, config: UnetConfig) -> None:
        super().__init__()
        self.first, self.second = _convolution(inputs, outputs, config), _convolution(outputs, outputs, config)
        self.modulation = nn.Linear(config.condition, 2 * outputs)
        self.around = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, maps: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition).unsqueeze(-1).chunk(2, dim=1)
        return self.second(self.first(maps) * (1 + scale) + shift) + self.around(maps)


def _through(blocks: nn.ModuleList | nn.Module, maps: Tensor, condition: Tensor) -> Tensor:
    assert isinstance(blocks, nn.ModuleList)
    for block in blocks:
        maps = block(maps, condition)
    return maps


def _convolution(inputs: int, outputs: int, config: UnetConfig) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, config.kernel, padding=config.kernel // 2),
        nn.GroupNorm(config.groups, outputs),
        nn.Mish(),
    )


UNET = DenoiserEntry(config=UnetConfig(), make=UnetDenoiser)
