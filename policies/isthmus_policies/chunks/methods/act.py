"""Action chunking with transformers (Zhao et al. 2023, "Learning Fine-Grained Bimanual Manipulation with Low-Cost
Hardware"): a transformer reads what is observed and a style, and gives the chunk at once.

The style is what observations do not tell of a demonstration; an encoder of the demonstrated chunk finds it in training
(a conditional variational autoencoder), and it is zero afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from isthmus_datasets.training.normalizer import Normalizer
from isthmus_policies.chunks.chunk_policy import ChunkPolicy, ChunkPolicyEntry, ChunkSpec, Tensors, expanded
from isthmus_policies.chunks.encoder import ObservationEncoder


@dataclass(frozen=True, kw_only=True)
class ActConfig:
    """Settings. The paper's sizes are 512 and 8 heads."""

    width: int = 128
    heads: int = 4
    encoder_layers: int = 3
    decoder_layers: int = 1
    style: int = 32
    """Size of the style."""
    style_weight: float = 10.0
    """Weight in the loss of how far styles are from the standard normal distribution."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} does not divide into {self.heads} heads")


class Act(ChunkPolicy):
    """Observed rows and style are tokens; each action of a chunk is a query. It has no goals.

    Args:
        config: Settings.
        spec, normalizer: As `ChunkPolicy` has them.
        encoder: Reads observations.
        denoiser: None; it has no use for one.
    """

    draws = 0

    def __init__(
        self,
        config: ActConfig,
        spec: ChunkSpec,
        normalizer: Normalizer,
        encoder: ObservationEncoder,
        denoiser: None = None,
    ) -> None:
        if spec.goal:
            raise ValueError("act takes no goals; take another method, or leave the goal out")
        if encoder.config.width:
            raise ValueError("act reads each column by itself: leave out the encoder's width")
        super().__init__(spec, normalizer)
        width = config.width
        self.config, self.encoder = config, encoder
        self.read = nn.ModuleList(nn.Linear(size, width) for size in encoder.sizes)
        self.read_style = nn.Linear(config.style, width)
        tokens = 1 + spec.observed * len(encoder.sizes)
        self.place = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.queries = nn.Parameter(0.02 * torch.randn(spec.horizon, width))
        # Dropout would draw from torch's own generator, whose state a resumed training does not have.
        sizes = {"d_model": width, "nhead": config.heads, "dim_feedforward": 4 * width, "dropout": 0.0}
        reading = nn.TransformerEncoderLayer(**sizes, batch_first=True)
        self.layers = nn.TransformerEncoder(reading, config.encoder_layers, enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(**sizes, batch_first=True), config.decoder_layers
        )
        self.leave = nn.Linear(width, spec.action_size)
        # What finds the style of a demonstration: a token that asks, the observed rows, the actions.
        self.read_action = nn.Linear(spec.action_size, width)
        self.asking = nn.Parameter(0.02 * torch.randn(tokens + spec.horizon, width))
        self.styles = nn.TransformerEncoder(reading, config.encoder_layers, enable_nested_tensor=False)
        self.leave_style = nn.Linear(width, 2 * config.style)

    def embed(self, observations: Tensors, goal: Tensors | None = None) -> Tensor:
        return self.encoder(self.scaled(observations), self.scaled(goal) if goal else None)

    def loss(self, batch: Tensors, generator: torch.Generator) -> Tensor:
        tokens, actions = self._tokens(batch), self.normalizer.normalize(self.spec.action, batch[self.spec.action])
        mean, log_variance = self._style(tokens, actions)
        drawn = torch.randn(mean.shape, generator=generator, device=mean.device)
        error = (self._chunk(tokens, mean + (0.5 * log_variance).exp() * drawn) - actions).abs().mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(-1).mean()
        return error + self.config.style_weight * divergence

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
        if steps not in (None, 1) or goal is not None:
            raise ValueError("act evaluates its network once, and takes no goals")
        tokens = self._tokens(expanded(observations, n))
        return self.actions(self._chunk(tokens, tokens.new_zeros(tokens.shape[0], self.config.style)))

    def _tokens(self, observations: Tensors) -> Tensor:
        """(n, observed * parts, width)."""
        parts = self.encoder.parts(self.scaled(observations))
        return torch.cat([read(part) for read, part in zip(self.read, parts, strict=True)], dim=1)

    def _chunk(self, tokens: Tensor, style: Tensor) -> Tensor:
        """Scaled actions (n, horizon, action_size)."""
        known = self.layers(torch.cat((self.read_style(style).unsqueeze(1), tokens), dim=1) + self.place)
        return self.leave(self.decoder(self.queries.expand(tokens.shape[0], -1, -1), known))

    def _style(self, tokens: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance, each (n, style)."""
        empty = tokens.new_zeros(tokens.shape[0], 1, tokens.shape[-1])
        rows = torch.cat((empty, tokens, self.read_action(actions)), dim=1) + self.asking
        mean, log_variance = self.leave_style(self.styles(rows)[:, 0]).chunk(2, dim=-1)
        return mean, log_variance


ACT = ChunkPolicyEntry(config=ActConfig(), make=Act, denoises=False)
