"""How much the chunks of a policy for what it sees differ, which stands beside how new that is (`Novelty`).

Both are scores of FIPER (Römer et al. 2025, "Failure Prediction at Runtime for Generative Robot Policies", arXiv
2510.09459). That counts actions in bins; here they are Gaussian, which needs no bins.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_FLOOR = 0.01  # of the scaled actions' range: chunks that differ by less count as the same


def chunk_entropy(chunks: Tensor) -> Tensor:
    """(m,) nats: how undecided a policy is, from n chunks (m, n, horizon, action_size) for each of m observations,
    scaled as its normalizer has them.

    Each number of each step counts as a Gaussian with the variance v that it has: ½ ln(2πe (v + s²)), the sum over the
    numbers of an action (an upper bound of their joint entropy) and the mean over the steps. s = 0.01 keeps it finite
    where all agree.
    """
    variance = (chunks - chunks.mean(dim=1, keepdim=True)).square().sum(dim=1) / (chunks.shape[1] - 1)
    return 0.5 * torch.log(2 * math.pi * math.e * (variance + _FLOOR**2)).sum(dim=-1).mean(dim=-1)
