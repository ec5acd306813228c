"""The update: the formulas, the shuffling, the limits; and that it learns."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, kl_divergence

from isthmus_policies.algorithms.batch import Batch
from isthmus_policies.algorithms.learner import Learner
from isthmus_policies.algorithms.losses import gaussian_kl, gaussian_log_prob
from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.algorithms.rollout import Rollout
from isthmus_policies.networks.actor_critic import ActorCritic, ActorCriticConfig
from isthmus_policies.networks.estimator import EstimatorConfig, EstimatorPolicy
from isthmus_policies.networks.gru import GruConfig, GruPolicy
from isthmus_sim.task import Group

positive = st.floats(0.01, 10)
number = st.floats(-10, 10)


@given(st.lists(st.tuples(number, positive, number, positive, number), min_size=1, max_size=4))
def test_divergence_and_density_are_torchs(rows: list[tuple[float, ...]]):
    old_mean, old_std, mean, std, action = torch.tensor(rows, dtype=torch.float64).T.unsqueeze(1)
    old, new = Independent(Normal(old_mean, old_std[0]), 1), Independent(Normal(mean, std[0]), 1)
    torch.testing.assert_close(gaussian_kl(old_mean, old_std[0], mean, std[0]), kl_divergence(old, new))
    torch.testing.assert_close(gaussian_log_prob(action, mean, std[0]), new.log_prob(action))


# One update
# ---------------------------------------------------------------------------------------------------------------------
Experience = Callable[..., Rollout]
Make = Callable[..., Learner]


@pytest.fixture
def make(groups: dict[str, Group]) -> Make:
    """A learner of a small policy."""

    def made(**config: object) -> Learner:
        torch.manual_seed(0)
        policy = ActorCritic(groups, 2, ActorCriticConfig(actor=(8,), critic=(8,)))
        return Learner(policy, PPOConfig(**config), torch.Generator().manual_seed(1))  # pyright: ignore

    return made


def test_every_epoch_sees_every_row_once_in_a_new_order(make: Make, experience: Experience):
    learner = make(epochs=3, minibatches=4)
    orders: list[torch.Tensor] = []
    step = learner._step

    def watched(batch: Batch) -> torch.Tensor:
        orders.append(batch.action[:, 0].clone())
        return step(batch)

    learner._step = watched
    rollout = experience(learner.policy)
    everything = rollout.action[..., 0].flatten()
    learner.update(rollout, 0.0)
    epochs = [torch.cat(orders[i : i + 4]) for i in (0, 4, 8)]
    for epoch in epochs:
        assert torch.equal(epoch.sort().values, everything.sort().values)
        assert not torch.equal(epoch, everything)
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[1], epochs[2])


def test_rows_stay_together_when_they_are_shuffled(make: Make, experience: Experience):
    """An advantage that belonged to another action would still train, only worse."""
    learner = make(epochs=1, minibatches=2)
    batch = learner._batch(experience(learner.policy))
    key = {float(action): i for i, action in enumerate(batch.action[:, 0])}
    for part in batch.minibatches(2, torch.Generator().manual_seed(0)):
        rows = [key[float(action)] for action in part.action[:, 0]]
        assert len(rows) == 20
        for name in ("action", "mean", "log_prob", "advantage", "value", "returns", "done"):
            assert torch.equal(getattr(part, name), getattr(batch, name)[rows]), name
        for name, value in part.observations.items():
            assert torch.equal(value, batch.observations[name][rows]), name


def test_worlds_stay_together_with_their_memory(experience: Experience, groups: dict[str, Group]):
    """A policy with a memory learns from whole sequences: of 6 worlds, 2 in each of 3 minibatches."""
    policy = GruPolicy(groups, 2, GruConfig(actor=(8,), critic=(8,), units=4))
    learner = Learner(policy, PPOConfig(), torch.Generator())
    batch = learner._batch(experience(policy, worlds=6, ends=0.2))
    key = {float(action): world for world, action in enumerate(batch.action[0, :, 0])}
    seen = []
    for part in batch.minibatches(3, torch.Generator().manual_seed(0)):
        worlds = [key[float(action)] for action in part.action[0, :, 0]]
        seen += worlds
        assert part.action.shape == (8, 2, 2)
        assert torch.equal(part.memory["hidden"], batch.memory["hidden"][worlds])
        for name in ("mean", "log_prob", "advantage", "value", "returns", "done"):
            assert torch.equal(getattr(part, name), getattr(batch, name)[:, worlds]), name
    assert sorted(seen) == list(range(6))


def test_the_first_ratio_is_one_and_the_first_divergence_zero(make: Make, experience: Experience):
    """The stored log-probabilities are the acting policy's: before any step nothing has moved."""
    learner = make(epochs=1, minibatches=1, learning_rate=0.0, learning_rate_range=(0.0, 0.0))
    for _ in range(3):  # after the first update the normalisers differ from those at the start
        logged = learner.update(experience(learner.policy), 0.0)
        assert logged["learner/kl"] == pytest.approx(0.0, abs=1e-6)
        assert logged["learner/clipped"] == 0.0
        assert logged["learner/surrogate"] == pytest.approx(0.0, abs=1e-5), "-mean of normalised advantages"


def test_normalisers_learn_after_the_update_not_before(make: Make, experience: Experience):
    learner = make()
    rollout = experience(learner.policy)
    counts = [normalizer.count for _, normalizer in learner.policy.normalizers()]
    seen: list[float] = []
    step = learner._step
    learner._step = lambda batch: (seen.extend(map(float, counts)), step(batch))[1]
    learner.update(rollout, 0.0)
    assert set(seen) == {0.0}
    assert [float(count) for count in counts] == [40.0, 40.0]


@pytest.mark.parametrize(("target", "grows"), [((1e6, 1e6), True), ((1e-9, 1e-9), False)])
def test_the_learning_rate_follows_the_divergence(
    make: Make, experience: Experience, target: tuple[float, float], grows: bool
):
    """Far below the target it grows by 1.5 an epoch, far above it shrinks; the optimiser uses it."""
    learner = make(epochs=2, learning_rate=1e-3, learning_rate_range=(1e-9, 1.0), kl_target=target)
    logged = learner.update(experience(learner.policy), 0.0)
    expected = 1e-3 * 1.5 ** (2 if grows else -2)
    assert logged["learner/learning_rate"] == pytest.approx(expected)
    assert learner.optimizer.param_groups[0]["lr"] == pytest.approx(expected)


def test_what_perceives_learns_apart_from_the_actor(experience: Experience, groups: dict[str, Group]):
    """By the estimate's error alone, at a rate that is held for the first half and then falls to nothing."""
    config = EstimatorConfig(actor=(8,), critic=(8,), estimator=(4,), learning_rate=0.01)
    learner = Learner(policy := EstimatorPolicy(groups, 2, config), PPOConfig(), torch.Generator())
    assert learner.perception is not None
    for progress, rate in ((0.0, 0.01), (0.5, 0.01), (0.75, 0.005)):
        before = next(policy.estimator.parameters()).clone()
        assert learner.update(experience(policy), progress)["learner/estimate"] > 0
        assert learner.perception.optimizer.param_groups[0]["lr"] == pytest.approx(rate)
        assert not torch.equal(next(policy.estimator.parameters()), before)
    estimator, actor = next(policy.estimator.parameters()).clone(), next(policy.actor.parameters()).clone()
    learner.update(experience(policy), 1.0)
    assert torch.equal(next(policy.estimator.parameters()), estimator), (
        "its rate is zero; the actor's loss is none of it"
    )
    assert not torch.equal(next(policy.actor.parameters()), actor)


def test_the_actor_learns_from_features_that_stand_still(experience: Experience, groups: dict[str, Group]):
    """Without a step of its own nothing moves the ratio, however fast the estimator learns."""
    config = EstimatorConfig(actor=(8,), critic=(8,), estimator=(4,), learning_rate=0.1)
    still = PPOConfig(learning_rate=0.0, learning_rate_range=(0.0, 0.0), epochs=2)
    learner = Learner(policy := EstimatorPolicy(groups, 2, config), still, torch.Generator())
    for _ in range(3):
        logged = learner.update(experience(policy), 0.0)
        assert logged["learner/kl"] == pytest.approx(0.0, abs=1e-6)
        assert logged["learner/clipped"] == 0.0


def test_what_learns_apart_goes_on_bit_for_bit(experience: Experience, groups: dict[str, Group]):
    def learner() -> Learner:
        torch.manual_seed(0)
        policy = EstimatorPolicy(groups, 2, EstimatorConfig(actor=(8,), critic=(8,), learning_rate=0.01))
        return Learner(policy, PPOConfig(), torch.Generator().manual_seed(1))

    first, second = learner(), learner()
    first.update(experience(first.policy), 0.1)
    state = {name: value.clone() for name, value in first.state_dict().items()}
    second.policy.load_state_dict({name: value.clone() for name, value in first.policy.state_dict().items()})
    second.load_state_dict(state)
    second._generator.set_state(first._generator.get_state())
    for each in (first, second):
        each.update(experience(each.policy), 0.2)
    for name, value in first.policy.state_dict().items():
        assert torch.equal(value, second.policy.state_dict()[name]), name


def test_what_learns_apart_cannot_be_kept_symmetric(groups: dict[str, Group]):
    policy = EstimatorPolicy(groups, 2, EstimatorConfig(learning_rate=0.01))
    with pytest.raises(ValueError, match="leave out the estimator's learning_rate"):
        Learner(policy, PPOConfig(symmetry=True), torch.Generator())


@pytest.mark.parametrize(("target", "end"), [((1e6, 1e6), 1.2e-3), ((1e-9, 1e-9), 0.9e-3)])
def test_the_learning_rate_stays_in_its_range(
    make: Make, experience: Experience, target: tuple[float, float], end: float
):
    learner = make(epochs=4, learning_rate=1e-3, learning_rate_range=(0.9e-3, 1.2e-3), kl_target=target)
    assert learner.update(experience(learner.policy), 0.0)["learner/learning_rate"] == pytest.approx(end)


def test_gradients_are_clipped_before_the_step(make: Make, experience: Experience):
    """Rewards a million times larger, without value normalisation's help: the gradient that Adam sees keeps its
    bound."""
    learner = make(epochs=3, minibatches=4, max_gradient_norm=0.01)
    norms: list[float] = []
    optimize = learner.optimizer.step

    def watched(*args: object) -> object:
        gradients = [p.grad.norm() for p in learner.policy.parameters() if p.grad is not None]
        norms.append(float(torch.stack(gradients).norm()))
        return optimize(*args)  # pyright: ignore

    learner.optimizer.step = watched  # pyright: ignore[reportAttributeAccessIssue]
    learner.update(experience(learner.policy, scale=1e6), 0.0)
    assert len(norms) == 12
    assert max(norms) <= 0.01 * (1 + 1e-4)
    assert max(norms) > 0.009, "it was the clipping that held them"


def test_every_parameter_learns(make: Make, experience: Experience):
    learner = make()
    before = {name: value.detach().clone() for name, value in learner.policy.named_parameters()}
    learner.update(experience(learner.policy), 0.0)
    assert [name for name, value in learner.policy.named_parameters() if torch.equal(value, before[name])] == []


# Learning
# ---------------------------------------------------------------------------------------------------------------------
def test_it_solves_a_bandit(make: Make, experience: Experience):
    """One step, reward -(a - target)²: the mean goes to the target and the deviation to its floor's side."""
    learner = make(epochs=4, minibatches=2, gamma=0.0, learning_rate=3e-3)
    target = torch.tensor([0.6, -0.3])
    for _ in range(80):
        rollout = experience(learner.policy, steps=1, worlds=256)
        rollout.reward = -(rollout.action - target).square().sum(-1)
        rollout.terminated |= True
        rollout.done |= True
        learner.update(rollout, 0.0)
    with torch.no_grad():
        mean = learner.policy.actor(torch.randn(200, 3, generator=torch.Generator().manual_seed(3))).mean(0)
    torch.testing.assert_close(mean, target, rtol=0, atol=0.1)
    assert float(learner.policy.std().detach().max()) < 0.3
