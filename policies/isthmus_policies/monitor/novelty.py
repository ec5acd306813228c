"""How new to a policy is what it sees, by random network distillation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isthmus_policies.networks.mlp import mlp

_WIDTH, _OUTPUTS = 128, 32
_BATCH, _RATE = 256, 1e-3
_RESTING = 1e-3  # of the largest deviation of a feature: one that hardly ever changed has at least that


class Novelty(nn.Module):
    """How unlike embeddings are to those that it was fitted to, by random network distillation (Burda et al. 2019):
    one network learns to answer as another one that is drawn and stays; where it never learned, it errs.

    Args:
        features: Numbers of an embedding.
        seed: Draws both networks.
    """

    mean: Tensor
    deviation: Tensor
    spread: Tensor

    def __init__(self, features: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.target = mlp((features, _WIDTH, _WIDTH, _OUTPUTS), 1.0, "elu").requires_grad_(False)
            self.predictor = mlp((features, _WIDTH, _WIDTH, _WIDTH, _OUTPUTS), 1.0, "elu")
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.register_buffer("spread", torch.ones(()))

    @classmethod
    def fit(cls, embeddings: Tensor, seed: int, steps: int = 2_000) -> Novelty:
        """Fit to what a policy's `embed` makes of what is known (n, features), in so many steps; on one thread the same
        for the same seed. Raises ValueError for fewer than 2 rows, where all are the same, and for what is no number.
        """
        rows = embeddings.detach().cpu()
        if not torch.isfinite(rows).all():
            raise ValueError("embeddings are not finite: there is nothing to learn of them")
        if len(rows) < 2 or (rows == rows[0]).all():
            raise ValueError(f"{len(rows)} embeddings do not differ: there is nothing to tell what is new by")
        novelty = cls(rows.shape[1], seed)
        novelty.mean.copy_(rows.mean(dim=0))
        deviation = rows.std(dim=0)
        novelty.deviation.copy_(deviation.clamp(min=_RESTING * float(deviation.max())))
        novelty._learn(rows, steps, torch.Generator().manual_seed(seed))
        return novelty.eval().requires_grad_(False)

    def _learn(self, rows: Tensor, steps: int, generator: torch.Generator) -> None:
        known = (rows - self.mean) / self.deviation
        answers = self.target(known)
        self.spread.copy_(answers.var(dim=0).mean())
        optimizer = torch.optim.Adam(self.predictor.parameters(), lr=_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            chosen = torch.randint(len(known), (min(_BATCH, len(known)),), generator=generator)
            loss = (self.predictor(known[chosen]) - answers[chosen]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

    def forward(self, embeddings: Tensor) -> Tensor:
        """(n,): the mean squared error, as a share of how much the answers to what it was fitted to vary."""
        scaled = (embeddings - self.mean) / self.deviation
        return (self.predictor(scaled) - self.target(scaled)).square().mean(dim=-1) / self.spread
