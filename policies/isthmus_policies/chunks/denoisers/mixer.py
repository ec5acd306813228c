"""An MLP-mixer (Tolstikhin et al. 2021) over the actions of a chunk: matrix products only, small enough for a robot's
CPU."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from isthmus_policies.chunks.denoisers.denoiser import DenoiserEntry
from isthmus_policies.chunks.denoisers.tokens import TokenDenoiser, perceptron


@dataclass(frozen=True, kw_only=True)
class MixerConfig:
    """Sizes."""

    width: int = 128
    """Numbers that stand for an action."""
    depth: int = 4
    """Blocks, each of a layer across the actions and one within each."""
    expansion: int = 2
    """How much wider than its input a layer is inside."""


class _Across(nn.Module):
    """A perceptron over the axis of the actions."""

    def __init__(self, horizon: int, expansion: int) -> None:
        super().__init__()
        self.layer = perceptron(horizon, expansion * horizon)

    def forward(self, rows: Tensor) -> Tensor:
        return self.layer(rows.mT).mT


def _make(config: MixerConfig, action_size: int, horizon: int, observed: int) -> TokenDenoiser:
    layers: list[nn.Module] = []
    for _ in range(config.depth):
        layers += [_Across(horizon, config.expansion), perceptron(config.width, config.expansion * config.width)]
    return TokenDenoiser(layers, config.width, action_size=action_size, horizon=horizon, observed=observed)


MIXER = DenoiserEntry(config=MixerConfig(), make=_make)
