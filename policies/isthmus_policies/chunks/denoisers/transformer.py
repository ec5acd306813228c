"""A diffusion transformer (Peebles & Xie 2023) over the actions of a chunk."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from isthmus_policies.chunks.denoisers.denoiser import DenoiserEntry
from isthmus_policies.chunks.denoisers.tokens import TokenDenoiser, perceptron


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes."""

    width: int = 128
    """Numbers that stand for an action."""
    depth: int = 4
    """Blocks, each of attention and a perceptron."""
    heads: int = 4

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} does not divide into {self.heads} heads")


class _Attention(nn.Module):
    """Attention of tokens (n, tokens, width) to each other (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.read, self.write = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, rows: Tensor) -> Tensor:
        parts = (part.unflatten(-1, (self._heads, -1)).transpose(1, 2) for part in self.read(rows).chunk(3, -1))
        seen = nn.functional.scaled_dot_product_attention(*parts)
        return self.write(seen.transpose(1, 2).flatten(2))


def _make(config: TransformerConfig, action_size: int, horizon: int, observed: int) -> TokenDenoiser:
    layers: list[nn.Module] = []
    for _ in range(config.depth):
        layers += [_Attention(config.width, config.heads), perceptron(config.width, 4 * config.width)]
    return TokenDenoiser(layers, config.width, action_size=action_size, horizon=horizon, observed=observed)


TRANSFORMER = DenoiserEntry(config=TransformerConfig(), make=_make)
