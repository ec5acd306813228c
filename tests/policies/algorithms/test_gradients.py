"""Gradients written out are those that autograd finds, in double precision."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from isthmus_policies.algorithms.gradients import NetworkGradient, clipped_surrogate, clipped_value_loss
from isthmus_policies.networks.mlp import mlp

close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-12)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(activation: str, sizes: tuple[int, ...] = (7, 6, 5, 3)) -> nn.Sequential:
    torch.manual_seed(0)
    made = mlp(sizes, 1.0, activation).double()
    for i, parameter in enumerate(made.parameters()):
        parameter.data += 0.3 * random(*parameter.shape, seed=i)
        parameter.grad = torch.full_like(parameter, math.nan)
    return made


@pytest.mark.parametrize("activation", ["tanh", "elu"])
@pytest.mark.parametrize("sizes", [(7, 6, 5, 3), (4, 1), (3, 8, 1)])
def test_a_networks_gradients(activation: str, sizes: tuple[int, ...]):
    """Again and again, for other numbers of rows too."""
    made = network(activation, sizes)
    passes = NetworkGradient(made)
    for i, n in enumerate((10, 10, 4)):
        rows, by_output = 2 * random(n, sizes[0], seed=i), random(n, sizes[-1], seed=i + 10)
        expected = made(rows)
        found = passes.forward(rows)
        passes.backward(by_output)
        close(found, expected.detach())
        gradients = torch.autograd.grad(expected, list(made.parameters()), by_output)
        for gradient, parameter in zip(gradients, made.parameters(), strict=True):
            close(parameter.grad, gradient)


def test_the_surrogates_gradients():
    """With ratios on both sides of the clipping and advantages of both signs."""
    clip, n, k = 0.2, 400, 3
    action, log_std = random(n, k), (0.3 * random(k)).requires_grad_()
    mean = (action + 0.5 * random(n, k, seed=1)).requires_grad_()
    advantage = random(n, seed=3)
    log_prob = Independent(Normal(mean.detach(), log_std.detach().exp()), 1).log_prob(action) + 0.3 * random(n, seed=2)
    ratio = (Independent(Normal(mean, log_std.exp()), 1).log_prob(action) - log_prob).exp()
    loss = -torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()
    loss.backward()
    assert ((ratio < 1 - clip).any() and (ratio > 1 + clip).any() and ((ratio - 1).abs() < clip).any()).item()

    found = clipped_surrogate(action, mean.detach(), log_std.detach().exp(), log_prob, advantage, clip)
    close(found.loss, loss.detach())
    close(found.clipped, ((ratio - 1).abs() > clip).double().mean(), check_dtype=False)
    close(found.by_mean, mean.grad)
    close(found.by_log_std, log_std.grad)


def test_the_values_gradient():
    clip, n = 0.2, 400
    before, target = random(n), random(n, seed=1)
    value = (before + 0.4 * random(n, seed=2)).requires_grad_()
    near = before + (value - before).clamp(-clip, clip)
    loss = torch.max((value - target).square(), (near - target).square()).mean()
    loss.backward()
    assert 0 < int((value.grad == 0).sum()) < n, "some are held by the clipping"

    found, gradient = clipped_value_loss(value.detach(), before, target, clip)
    close(found, loss.detach())
    close(gradient, value.grad)
