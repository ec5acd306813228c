"""A residual perceptron on the whole chunk: the cheapest on a CPU, where chunk and observation are small."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from isthmus_policies.chunks.denoisers.denoiser import Condition, Denoiser, DenoiserEntry, Modulated


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """Sizes."""

    width: int = 256
    depth: int = 4
    """Residual layers."""


class MlpDenoiser(Denoiser):
    """All numbers of the chunk as one vector."""

    def __init__(self, config: MlpConfig, action_size: int, horizon: int, observed: int) -> None:
        super().__init__()
        width = config.width
        self.condition = Condition(observed, width)
        self.enter = nn.Linear(horizon * action_size, width)
        self.layers = nn.ModuleList(
            Modulated(nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)), width, width)
            for _ in range(config.depth)
        )
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, horizon * action_size))

    def forward(self, chunk: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        told = self.condition(time, condition)
        rows = self.enter(chunk.flatten(1))
        for layer in self.layers:
            rows = layer(rows, told)
        return self.leave(rows).view_as(chunk)


MLP = DenoiserEntry(config=MlpConfig(), make=MlpDenoiser)
