"""Perceptrons and their activations."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from isthmus_policies.networks.mlp import Activation, Elu, Relu, Tanh, mlp


@pytest.mark.parametrize("hidden", [math.sqrt(2), 0.6])
def test_weights_start_orthogonal_and_the_last_layer_as_small_as_asked(hidden: float):
    made = mlp((8, 6, 4, 2), last_gain=0.01, hidden_gain=hidden)
    layers = [layer for layer in made if isinstance(layer, torch.nn.Linear)]
    for layer, gain in zip(layers, (hidden, hidden, 0.01), strict=True):
        w = layer.weight.detach()
        torch.testing.assert_close(w @ w.T, gain**2 * torch.eye(len(w)), rtol=0, atol=1e-5)
        assert torch.equal(layer.bias, torch.zeros_like(layer.bias))


@pytest.mark.parametrize(
    ("activation", "function"),
    [(Tanh(), torch.tanh), (Elu(), torch.nn.functional.elu), (Relu(), torch.nn.functional.relu)],
)
def test_activations_are_what_they_are_called(activation: Activation, function: Callable[[Tensor], Tensor]):
    x = torch.linspace(-20, 20, 1001)
    torch.testing.assert_close(activation(x), function(x), rtol=0, atol=1e-6)
    activation.apply_(in_place := x.clone())
    torch.testing.assert_close(in_place, function(x), rtol=0, atol=1e-6)


def test_the_activation_is_as_configured():
    assert {type(layer) for layer in mlp((3, 4, 2), 1.0, "elu")} == {torch.nn.Linear, Elu}
    assert {type(layer) for layer in mlp((3, 4, 2), 1.0)} == {torch.nn.Linear, Tanh}
