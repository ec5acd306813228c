"""The squashed Gaussian's density is one, and an ensemble is so many networks."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform
from torch.nn import functional

from isthmus_policies.networks.ensemble import Ensemble
from isthmus_policies.networks.squashed import LOG_STD, SquashedActorCritic, SquashedConfig, squash
from isthmus_sim.task import Group

GROUPS = {"actor": Group(shape=(3,)), "critic": Group(shape=(4,))}


def made(**config: object) -> SquashedActorCritic:
    torch.manual_seed(0)
    return SquashedActorCritic(GROUPS, 2, SquashedConfig(actor=(8,), critic=(8,), **config))  # pyright: ignore


def deviation(place: torch.Tensor) -> torch.Tensor:
    low, high = LOG_STD
    return (low + (high - low) * torch.sigmoid(2 * place)).exp()


@torch.no_grad()
def test_samples_and_their_density_are_those_of_a_squashed_gaussian():
    output, noise = torch.randn(50, 4), torch.randn(50, 2)
    action, log_prob = squash(output, noise)
    mean, std = output[:, :2], deviation(output[:, 2:])
    expected = TransformedDistribution(Normal(mean.double(), std.double()), [TanhTransform()])
    before = mean.double() + std.double() * noise
    torch.testing.assert_close(action, before.tanh().float(), rtol=0, atol=1e-5)
    exact = Normal(mean.double(), std.double()).log_prob(before) - expected.transforms[0].log_abs_det_jacobian(
        before, before.tanh()
    )
    torch.testing.assert_close(log_prob, exact.sum(-1).float(), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_it_acts_by_the_mean_and_explores_at_first_as_far_as_asked():
    policy = made(initial_std=0.6)
    seen = {"actor": torch.randn(9, 3)}
    output = policy.output(seen)
    torch.testing.assert_close(policy.act(seen, {}, {})[0], output[:, :2].tanh())
    torch.testing.assert_close(deviation(output[:, 2:]), torch.full((9, 2), 0.6), rtol=0.1, atol=0)


@torch.no_grad()
def test_the_density_stays_finite_at_the_ends():
    action, log_prob = squash(torch.tensor([[40.0, 0.0]]), torch.zeros(1, 1))
    assert action.tolist() == [[1.0]]
    # log(1 - tanh²u) is 2 log 2 - 2u far out; halfway between the bounds the deviation is e^-2.
    assert float(log_prob) == pytest.approx(-0.5 * math.log(2 * math.pi) + 2 - (2 * math.log(2) - 80))


@torch.no_grad()
@pytest.mark.parametrize("layer_norm", [True, False])
def test_an_ensemble_gives_what_each_member_would_alone(layer_norm: bool):
    torch.manual_seed(1)
    ensemble, rows = Ensemble(3, 4, (8, 6), layer_norm), torch.randn(5, 4)
    for bias in ensemble.biases:
        bias.normal_()
    together = ensemble(rows)
    assert together.shape == (3, 5)
    for member in range(3):
        hidden = rows
        for weight, bias in zip(ensemble.weights[:-1], ensemble.biases[:-1], strict=True):
            hidden = hidden @ weight[member] + bias[member]
            hidden = (functional.layer_norm(hidden, hidden.shape[-1:]) if layer_norm else hidden).relu()
        alone = hidden @ ensemble.weights[-1][member] + ensemble.biases[-1][member]
        torch.testing.assert_close(together[member], alone.squeeze(-1))
    assert not torch.allclose(together[0], together[1])


@torch.no_grad()
def test_normalised_critics_do_not_grow_with_what_they_read():
    """Far outside of what they have seen, a plain critic's value grows without bound."""
    torch.manual_seed(1)
    rows = 1e4 * torch.randn(5, 4)
    assert float(Ensemble(2, 4, (8, 8), layer_norm=True)(rows).abs().max()) < 20
    assert float(Ensemble(2, 4, (8, 8), layer_norm=False)(rows).abs().max()) > 1e3


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="critics must be at least 1, got 0"):
        SquashedConfig(critics=0)
    with pytest.raises(ValueError, match=r"initial_std must lie between 0.00674 and 2.72, got 3.0"):
        SquashedConfig(initial_std=3.0)
