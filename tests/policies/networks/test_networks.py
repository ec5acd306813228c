"""Networks and what they are scaled by."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from isthmus_policies.networks.actor_critic import (
    MAX_STD,
    MIN_STD,
    Activation,
    ActorCritic,
    Elu,
    NetworkConfig,
    RunningNormalizer,
    Tanh,
    mlp,
)
from isthmus_sim.task import Group

SIZES = {"actor": Group(shape=(5,)), "critic": Group(shape=(7,))}


def policy(**config: object) -> ActorCritic:
    torch.manual_seed(0)
    return ActorCritic(SIZES, 3, NetworkConfig(**config))  # pyright: ignore[reportArgumentType]


# Normalisation
# ---------------------------------------------------------------------------------------------------------------------
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    offset=st.floats(-1000, 1000),
    spread=st.floats(0.01, 100),
    seed=st.integers(0, 2**31),
)
def test_mean_and_variance_are_those_of_everything_shown(sizes: list[int], offset: float, spread: float, seed: int):
    """However it was cut into batches: numpy over all rows, in float64, agrees."""
    generator = np.random.default_rng(seed)
    batches = [(offset + spread * generator.standard_normal((n, 2))).astype(np.float32) for n in sizes]
    normalizer = RunningNormalizer(2)
    for batch in batches:
        normalizer.update(torch.from_numpy(batch))
    rows = np.concatenate(batches).astype(np.float64)
    resolution = 1e-6 * (abs(offset) + spread)
    np.testing.assert_allclose(normalizer.mean, rows.mean(0), rtol=0, atol=4 * resolution)
    np.testing.assert_allclose(normalizer.variance, rows.var(0), rtol=1e-4, atol=100 * resolution * spread)
    assert int(normalizer.count) == len(rows)


def test_what_was_shown_comes_out_with_mean_zero_and_variance_one():
    rows = 3.0 + 2.0 * torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    normalizer = RunningNormalizer(2)
    assert torch.equal(normalizer(rows), rows), "nothing seen, nothing changed"
    normalizer.update(rows)
    normal = normalizer(rows)
    torch.testing.assert_close(normal.mean(0), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(normal.var(0, correction=0), torch.ones(2), rtol=1e-5, atol=0)
    torch.testing.assert_close(normalizer.inverse(normal), rows)


def test_applying_it_changes_nothing():
    normalizer = RunningNormalizer(2)
    normalizer.update(torch.randn(10, 2, generator=torch.Generator().manual_seed(0)))
    before = {name: value.clone() for name, value in normalizer.state_dict().items()}
    normalizer.train()
    normalizer(torch.full((10, 2), 100.0))
    assert all(torch.equal(value, before[name]) for name, value in normalizer.state_dict().items())


def test_rescaling_keeps_the_value():
    """New returns change the value's scale a hundredfold; what the critic says in units of reward stays."""
    network = policy()
    rows = torch.randn(50, 7, generator=torch.Generator().manual_seed(1))
    before = network.value(rows).detach().clone()
    for mean, std in ((300.0, 100.0), (-5.0, 0.1), (40.0, 7.0)):
        network.rescale_value(mean + std * torch.randn(500, 1, generator=torch.Generator().manual_seed(2)))
        torch.testing.assert_close(network.value(rows).detach(), before, rtol=0, atol=2e-3)
    last = network.value_normalizer
    assert float(1 / last.scale) == pytest.approx(math.sqrt(float(last.variance)), rel=1e-4)
    assert float(last.variance) > 1000, "it did take the returns in"


# Actor and critic
# ---------------------------------------------------------------------------------------------------------------------
@given(st.lists(st.floats(-1e30, 1e30), min_size=3, max_size=3))
def test_the_standard_deviation_is_positive_and_bounded(log_std: list[float]):
    network = policy()
    with torch.no_grad():
        network.log_std.copy_(torch.tensor(log_std))
    std = network.std()
    assert (std >= MIN_STD * (1 - 1e-6)).all()
    assert (std <= MAX_STD * (1 + 1e-6)).all()


def test_it_starts_where_the_configuration_says():
    torch.testing.assert_close(policy(initial_std=0.25).std(), torch.full((3,), 0.25))


@pytest.mark.parametrize("hidden", [math.sqrt(2), 0.6])
def test_weights_start_orthogonal_and_the_last_action_layer_small(hidden: float):
    made = mlp((8, 6, 4, 2), last_gain=0.01, hidden_gain=hidden)
    layers = [layer for layer in made if isinstance(layer, torch.nn.Linear)]
    for layer, gain in zip(layers, (hidden, hidden, 0.01), strict=True):
        w = layer.weight.detach()
        torch.testing.assert_close(w @ w.T, gain**2 * torch.eye(len(w)), rtol=0, atol=1e-5)
        assert torch.equal(layer.bias, torch.zeros_like(layer.bias))
    network = policy()
    assert float(network.act(torch.randn(100, 5)).detach().abs().max()) < 0.2
    assert float(network.value(torch.randn(100, 7)).detach().std()) > 0.1


def test_layers_are_as_configured():
    network = policy(actor=(9, 8), critic=(4,))
    assert [tuple(p.shape) for n, p in network.actor.named_parameters() if "weight" in n] == [(9, 5), (8, 9), (3, 8)]
    assert [tuple(p.shape) for n, p in network.critic.named_parameters() if "weight" in n] == [(4, 7), (1, 4)]


@pytest.mark.parametrize(("activation", "function"), [(Tanh(), torch.tanh), (Elu(), torch.nn.functional.elu)])
def test_activations_are_what_they_are_called(activation: Activation, function: Callable[[Tensor], Tensor]):
    x = torch.linspace(-20, 20, 1001)
    torch.testing.assert_close(activation(x), function(x), rtol=0, atol=1e-6)
    activation.apply_(in_place := x.clone())
    torch.testing.assert_close(in_place, function(x), rtol=0, atol=1e-6)


def test_the_activation_is_as_configured():
    assert {type(layer) for layer in policy(activation="elu").actor} == {torch.nn.Linear, Elu}
    assert {type(layer) for layer in policy().critic} == {torch.nn.Linear, Tanh}


def test_actor_and_critic_read_their_own_groups():
    """The critic's group is not the robot's: the action does not depend on it, nor the value on the actor's."""
    network = policy()
    network.actor_normalizer.update(torch.randn(20, 5))
    assert network.act(torch.randn(4, 5)).shape == (4, 3)
    assert network.value(torch.randn(4, 7)).shape == (4,)
    with pytest.raises(RuntimeError):
        network.act(torch.randn(4, 7))
