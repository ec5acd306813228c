"""The gradients of soft actor-critic's losses, written out.

Autograd finds the same ones (a test holds the two equal), but for networks this small its bookkeeping takes as long as
the matrix products; and of the critics an actor needs the gradient by the action alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_policies.networks.ensemble import Ensemble
from isthmus_policies.networks.squashed import LOG_STD


class EnsembleGradient:
    """Forward and backward pass of an `Ensemble`."""

    def __init__(self, ensemble: Ensemble) -> None:
        self._weights, self._biases = list(ensemble.weights), list(ensemble.biases)
        self._members, self._layer_norm = ensemble.members, ensemble.layer_norm
        self._read: list[Tensor] = []  # by each layer
        self._normalized: list[tuple[Tensor, Tensor, Tensor]] = []  # what was, by which mean and inverse deviation

    @torch.no_grad()
    def forward(self, rows: Tensor) -> Tensor:
        """(n, inputs) -> (members, n)."""
        self._read, self._normalized = [rows.expand(self._members, *rows.shape)], []
        for weight, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            hidden = torch.baddbmm(bias, self._read[-1], weight)
            if self._layer_norm:
                before = hidden
                hidden, mean, inverse = torch.native_layer_norm(before, before.shape[-1:], None, None, Ensemble.EPSILON)
                self._normalized.append((before, mean, inverse))
            self._read.append(hidden.relu_())
        return torch.baddbmm(self._biases[-1], self._read[-1], self._weights[-1]).squeeze(-1)

    @torch.no_grad()
    def by_weights(self, gradient: Tensor) -> None:
        """Write every parameter's gradient into its `grad`, which must be there; gradient (members, n): the loss's by
        what `forward` last returned."""
        for layer, rows in self._backwards(gradient):
            torch.bmm(self._read[layer].transpose(1, 2), rows, out=self._weights[layer].grad)
            torch.sum(rows, 1, keepdim=True, out=self._biases[layer].grad)

    @torch.no_grad()
    def by_last(self, gradient: Tensor, count: int) -> Tensor:
        """The gradient by the last `count` of the inputs, (n, count)."""
        *_, (_, rows) = self._backwards(gradient)
        return torch.bmm(rows, self._weights[0][:, -count:].transpose(1, 2)).sum(0)

    def _backwards(self, gradient: Tensor):
        """Each layer from the last to the first, with the gradient by what it gives (members, n, outputs)."""
        rows = gradient.unsqueeze(-1)
        for layer in reversed(range(len(self._weights))):
            yield layer, rows
            if layer == 0:
                return
            rows = torch.bmm(rows, self._weights[layer].transpose(1, 2))
            rows = torch.ops.aten.threshold_backward(rows, self._read[layer], 0)
            if self._layer_norm:
                before, mean, inverse = self._normalized[layer - 1]
                rows = torch.ops.aten.native_layer_norm_backward(
                    rows, before, before.shape[-1:], mean, inverse, None, None, [True, False, False]
                )[0]


@torch.no_grad()
def squash_gradient(output: Tensor, noise: Tensor, action: Tensor, by_action: Tensor, by_log_prob: Tensor) -> Tensor:
    """The gradient by an actor's output (n, 2k), of which `networks.squashed.squash` made `action` (n, k) with this
    noise (n, k).

    Args:
        by_action: The loss's gradient by the action, (n, k).
        by_log_prob: That by the logarithm of its density, the same number for every row.
    """
    low, high = LOG_STD
    squashed = output[:, noise.shape[1] :].tanh()
    std = (low + 0.5 * (high - low) * (squashed + 1)).exp()
    # By u, where action = tanh u: d log(1 - tanh²u) / du = -2 tanh u.
    by_mean = by_action * (1 - action.square()) + 2 * by_log_prob * action
    by_log_std = by_mean * std * noise - by_log_prob
    return torch.cat((by_mean, by_log_std * (0.5 * (high - low)) * (1 - squashed.square())), dim=-1)
