"""Actor and critic: what they read, what they give, and how they start."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isthmus_policies.networks.actor_critic import MAX_STD, MIN_STD, ActorCritic, ActorCriticConfig
from isthmus_policies.networks.normalizer import moments
from isthmus_sim.task import Group

GROUPS = {"actor": Group(shape=(5,)), "critic": Group(shape=(7,)), "more": Group(shape=(2,))}


def policy(**config: object) -> ActorCritic:
    torch.manual_seed(0)
    return ActorCritic(GROUPS, 3, ActorCriticConfig(**config))  # pyright: ignore[reportArgumentType]


def test_rescaling_keeps_the_value():
    """New returns change the value's scale a hundredfold; what the critic says in units of reward stays."""
    network = policy()
    rows = {"critic": torch.randn(50, 7, generator=torch.Generator().manual_seed(1))}
    before = network.value(rows).detach().clone()
    for mean, std in ((300.0, 100.0), (-5.0, 0.1), (40.0, 7.0)):
        returns = mean + std * torch.randn(500, 1, generator=torch.Generator().manual_seed(2))
        network.rescale_value([moments(returns)], 500)
        torch.testing.assert_close(network.value(rows).detach(), before, rtol=0, atol=2e-3)
    last = network.value_normalizer
    assert float(1 / last.scale) == pytest.approx(math.sqrt(float(last.variance)), rel=1e-4)
    assert float(last.variance) > 1000, "it did take the returns in"


def test_returns_that_never_differ_leave_the_value_alone():
    """A reward that has not been earned yet: nothing is blown up, and the value is the return."""
    network = policy()
    network.rescale_value([moments(torch.full((500, 1), 2.5))], 500)
    assert float(network.value_normalizer.scale) == 1.0
    assert float(network.value_normalizer.shift) == 2.5


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
    network = policy()
    assert float(network.act({"actor": torch.randn(100, 5)}, {}, {})[0].detach().abs().max()) < 0.2
    assert float(network.value({"critic": torch.randn(100, 7)}).detach().std()) > 0.1


def test_layers_are_as_configured():
    network = policy(actor=(9, 8), critic=(4,))
    assert [tuple(p.shape) for n, p in network.actor.named_parameters() if "weight" in n] == [(9, 5), (8, 9), (3, 8)]
    assert [tuple(p.shape) for n, p in network.critic.named_parameters() if "weight" in n] == [(4, 7), (1, 4)]


def test_actor_and_critic_read_their_own_groups():
    """The critic's groups are not the robot's: the action does not need them, nor the value the actor's."""
    network = policy(critic_groups=("critic", "more"))
    assert network.act({"actor": torch.randn(4, 5)}, {}, {})[0].shape == (4, 3)
    assert network.value({"critic": torch.randn(4, 7), "more": torch.randn(4, 2)}).shape == (4,)
    assert network.learns_from() == ("actor", "critic", "more")
    assert [name for name, _ in network.normalizers()] == ["actor", "critic", "more"]
    with pytest.raises(KeyError):
        network.act({"critic": torch.randn(4, 7)}, {}, {})
