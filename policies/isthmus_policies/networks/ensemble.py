"""Perceptrons of equal shape, computed together: an ensemble of critics."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class Ensemble(nn.Module):
    """`members` perceptrons, each with weights of its own, that read the same numbers and give one each.

    Layers are followed by LayerNorm (Ba et al. 2016) and ReLU: a critic whose layers are normalised cannot grow without
    bound where it has seen no action (Ball et al. 2023, "Efficient Online Reinforcement Learning with Offline Data").
    The normalisation has no weights of its own; the next layer's scale what it gives.
    """

    EPSILON = 1e-5
    """Added to the variance by which is normalised."""

    def __init__(self, members: int, inputs: int, hidden: tuple[int, ...], layer_norm: bool = True) -> None:
        super().__init__()
        self.members, self.layer_norm = members, layer_norm
        pairs = list(itertools.pairwise((inputs, *hidden, 1)))
        gains = [math.sqrt(2)] * len(hidden) + [1.0]
        self.weights = nn.ParameterList(_weights(members, *pair, gain) for pair, gain in zip(pairs, gains, strict=True))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(members, 1, outputs)) for _, outputs in pairs)

    def forward(self, rows: Tensor) -> Tensor:
        """(n, inputs) -> (members, n)."""
        hidden = rows.expand(self.members, *rows.shape)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = torch.baddbmm(bias, hidden, weight)
            if self.layer_norm:
                hidden = functional.layer_norm(hidden, hidden.shape[-1:], eps=self.EPSILON)
            hidden = hidden.relu_()
        return torch.baddbmm(self.biases[-1], hidden, self.weights[-1]).squeeze(-1)


def _weights(members: int, inputs: int, outputs: int, gain: float) -> nn.Parameter:
    """(members, inputs, outputs), each member's orthogonal (Saxe et al. 2014)."""
    weights = torch.empty(members, inputs, outputs)
    for member in weights:
        nn.init.orthogonal_(member, gain)
    return nn.Parameter(weights)
