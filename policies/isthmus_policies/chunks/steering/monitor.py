"""Whether a policy is out of its depth: how much its chunks differ, and how new to it is what it sees.

The two numbers, and thresholds from held-out successes, are those of FIPER (Römer et al. 2025, "Failure Prediction at
Runtime for Generative Robot Policies", arXiv 2510.09459). That bins actions and distils a random network; here both are
Gaussian, which needs no bins and no training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_FLOOR = 0.01  # of the scaled actions' range: chunks that differ by less count as the same
_REST = 1e-3  # of an embedding's mean variance: a direction that the data never took has at least that


def chunk_entropy(chunks: Tensor) -> Tensor:
    """(m,) nats: how undecided a policy is, from n chunks (m, n, horizon, action_size) for each of m observations,
    scaled as its normalizer has them.

    The actions of each step count as a Gaussian with the covariance C that they have: ½ ln det(2πe (C + s² I)), the
    mean over the steps (Cover & Thomas 2006, theorem 8.4.1). s = 0.01 keeps it finite where all agree. Raises
    ValueError for fewer than 2 chunks.
    """
    n, size = chunks.shape[1], chunks.shape[3]
    if n < 2:
        raise ValueError(f"how chunks differ takes at least 2 of them, not {n}")
    steps = chunks.movedim(1, 2)
    off = steps - steps.mean(dim=2, keepdim=True)
    covariance = off.mT @ off / (n - 1) + _FLOOR**2 * torch.eye(size, device=chunks.device)
    return 0.5 * (size * math.log(2 * math.pi * math.e) + torch.logdet(covariance)).mean(dim=1)


class Novelty(nn.Module):
    """How far embeddings are from those of the training data: the Mahalanobis distance (Lee et al. 2018, "A Simple
    Unified Framework for Detecting Out-of-Distribution Samples").

    Args:
        mean: (features,) of the data.
        whiten: (features, features): what makes the data's covariance the identity.
    """

    mean: Tensor
    whiten: Tensor

    def __init__(self, mean: Tensor, whiten: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("whiten", whiten)

    @classmethod
    def fit(cls, embeddings: Tensor) -> Novelty:
        """To what a policy's `embed` makes of the training data (n, features). Raises ValueError for fewer than 2 rows,
        or where all are the same."""
        rows = embeddings.detach().double()
        if len(rows) < 2 or (rows == rows[0]).all():
            raise ValueError(f"{len(rows)} embeddings do not differ: there is no distance to measure by")
        variance, directions = torch.linalg.eigh(rows.T.cov())
        spread = (variance.clamp(min=0.0) + _REST * variance.mean()).sqrt()
        return cls(rows.mean(dim=0).float(), (directions / spread).float())

    def forward(self, embeddings: Tensor) -> Tensor:
        """(n,): 0 at the data's mean, about the root of the number of features within the data."""
        return torch.linalg.vector_norm((embeddings - self.mean) @ self.whiten, dim=-1)


@dataclass(frozen=True)
class Threshold:
    """What a number rarely exceeds as long as all is well."""

    limit: float

    @classmethod
    def fit(cls, values: Tensor, share: float) -> Threshold:
        """The limit that a new value exceeds with a probability of at most `share`, if it is drawn as `values` (n,)
        were: the ⌈(n + 1)(1 - share)⌉-th of them (split conformal prediction, Vovk et al. 2005).

        Steps of one episode are not drawn apart from each other. For so many false alarms an episode, give one value of
        each held-out success: its largest.

        Raises:
            ValueError: the share is not between 0 and 1, there are too few values for it, or one is not finite.
        """
        if not 0.0 < share < 1.0:
            raise ValueError(f"the share of false alarms is between 0 and 1, not {share}")
        if not torch.isfinite(values).all():
            raise ValueError("values to set a threshold by must be finite")
        place = math.ceil((len(values) + 1) * (1.0 - share))
        if place > len(values):
            least = math.ceil(1.0 / share - 1.0)
            raise ValueError(
                f"{len(values)} values tell no limit for a share of {share:g}: at least {least} are needed"
            )
        return cls(float(values.sort().values[place - 1]))

    def exceeded(self, values: Tensor) -> Tensor:
        """(n,) bool."""
        return values > self.limit
