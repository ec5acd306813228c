"""The gradients that are written out are those that autograd finds."""

from __future__ import annotations

import pytest
import torch

from isthmus_policies.algorithms.sac.gradients import EnsembleGradient, squash_gradient
from isthmus_policies.networks.ensemble import Ensemble
from isthmus_policies.networks.squashed import squash


@pytest.mark.parametrize("layer_norm", [True, False])
@pytest.mark.parametrize("hidden", [(8, 6), (5,), ()])
def test_an_ensembles_gradients(layer_norm: bool, hidden: tuple[int, ...]):
    torch.manual_seed(0)
    ensemble, rows = Ensemble(3, 4, hidden, layer_norm).double(), torch.randn(7, 4).double().requires_grad_()
    parameters, gradient = list(ensemble.parameters()), torch.randn(3, 7).double()
    values = ensemble(rows)
    expected = torch.autograd.grad(values, [*parameters, rows], gradient)
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 9.0)  # to be written over
    written = EnsembleGradient(ensemble)
    torch.testing.assert_close(written.forward(rows.detach()), values.detach())
    torch.testing.assert_close(written.by_last(gradient, 2), expected[-1][:, -2:])
    written.by_weights(gradient)
    torch.testing.assert_close([parameter.grad for parameter in parameters], list(expected[:-1]))


def test_an_actors_gradient():
    torch.manual_seed(0)
    output, noise = torch.randn(7, 6).double().requires_grad_(), torch.randn(7, 3).double()
    by_action, by_log_prob = torch.randn(7, 3).double(), torch.tensor([0.3]).double()
    action, log_prob = squash(output, noise)
    ((action * by_action).sum() + by_log_prob * log_prob.sum()).backward()
    written = squash_gradient(output.detach(), noise, action.detach(), by_action, by_log_prob)
    torch.testing.assert_close(written, output.grad)
