"""The update: the formulas, the shuffling, the limits; and that it learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, kl_divergence

from isthmus_policies.algorithms.ppo import PPO, PPOConfig, gaussian_kl, gaussian_log_prob
from isthmus_policies.algorithms.rollout import Rollout
from isthmus_policies.networks.actor_critic import ActorCritic, NetworkConfig
from isthmus_policies.training.trainer import TrainConfig, Trainer
from isthmus_sim.task import Group

positive = st.floats(0.01, 10)
number = st.floats(-10, 10)

GROUPS = {"actor": Group(shape=(3,)), "critic": Group(shape=(4,))}


@given(st.lists(st.tuples(number, positive, number, positive, number), min_size=1, max_size=4))
def test_divergence_and_density_are_torchs(rows: list[tuple[float, ...]]):
    old_mean, old_std, mean, std, action = torch.tensor(rows, dtype=torch.float64).T.unsqueeze(1)
    old, new = Independent(Normal(old_mean, old_std[0]), 1), Independent(Normal(mean, std[0]), 1)
    torch.testing.assert_close(gaussian_kl(old_mean, old_std[0], mean, std[0]), kl_divergence(old, new))
    torch.testing.assert_close(gaussian_log_prob(action, mean, std[0]), new.log_prob(action))


# One update
# ---------------------------------------------------------------------------------------------------------------------
def learner(**config: object) -> PPO:
    torch.manual_seed(0)
    policy = ActorCritic(
        {"actor": Group(shape=(3,)), "critic": Group(shape=(4,))}, 2, NetworkConfig(actor=(8,), critic=(8,))
    )
    return PPO(policy, PPOConfig(**config), torch.Generator().manual_seed(1))  # pyright: ignore[reportArgumentType]


def experience(policy: ActorCritic, steps: int = 8, worlds: int = 5, scale: float = 1.0) -> Rollout:
    """Random observations, the policy's own actions around its mean, and a reward for a small first action."""
    generator = torch.Generator().manual_seed(2)
    actor, critic = (torch.randn(steps, worlds, size, generator=generator) for size in (3, 4))
    with torch.no_grad():
        mean = policy.act(actor.flatten(0, 1)).unflatten(0, (steps, worlds))
        action = mean + policy.std() * torch.randn(mean.shape, generator=generator)
    never = torch.zeros(steps, worlds, dtype=torch.bool)
    return Rollout(
        actor=actor, critic=critic, action=action, mean=mean, reward=-scale * action[..., 0].square(),
        terminated=never, done=never.clone(), time_outs=[], last_critic=critic[-1],
    )  # fmt: skip


def test_every_epoch_sees_every_row_once_in_a_new_order():
    ppo = learner(epochs=3, minibatches=4)
    orders: list[torch.Tensor] = []
    step = ppo._step

    def watched(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        orders.append(batch["action"][:, 0].clone())
        return step(batch)

    ppo._step = watched
    rollout = experience(ppo.policy)
    everything = rollout.action[..., 0].flatten()
    ppo.update(rollout, 0.0)
    epochs = [torch.cat(orders[i : i + 4]) for i in (0, 4, 8)]
    for epoch in epochs:
        assert torch.equal(epoch.sort().values, everything.sort().values)
        assert not torch.equal(epoch, everything)
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[1], epochs[2])


def test_rows_stay_together_when_they_are_shuffled():
    """An advantage that belonged to another action would still train, only worse."""
    ppo = learner(epochs=1, minibatches=2)
    rollout = experience(ppo.policy)
    batch = ppo._batch(rollout)
    key = {float(action): i for i, action in enumerate(batch["action"][:, 0])}
    for part in ppo._minibatches(batch):
        rows = [key[float(action)] for action in part["action"][:, 0]]
        for name in set(batch) - {"old_std"}:
            assert torch.equal(part[name], batch[name][rows]), name


def test_the_first_ratio_is_one_and_the_first_divergence_zero():
    """The stored log-probabilities are the acting policy's: before any step nothing has moved."""
    ppo = learner(epochs=1, minibatches=1, learning_rate=0.0, learning_rate_range=(0.0, 0.0))
    for _ in range(3):  # after the first update the normalisers differ from those at the start
        logged = ppo.update(experience(ppo.policy), 0.0)
        assert logged["learner/kl"] == pytest.approx(0.0, abs=1e-6)
        assert logged["learner/clipped"] == 0.0
        assert logged["learner/surrogate"] == pytest.approx(0.0, abs=1e-5), "-mean of normalised advantages"


def test_a_step_takes_the_gradient_of_the_whole_loss():
    """Autograd through the policy as it is used elsewhere, its loss as the paper writes it; one component of the
    deviation is held by its bound."""
    ppo = learner(minibatches=1, entropy_weight=0.01, value_weight=0.7, learning_rate=0.0, max_gradient_norm=1e9)
    policy, c = ppo.policy, ppo.config
    rollout = experience(policy)
    policy.actor_normalizer.update(rollout.actor.flatten(0, 1) * 3)
    with torch.no_grad():
        policy.log_std.copy_(torch.tensor([-0.5, 2.0]))
    batch = ppo._batch(rollout)
    batch["log_prob"] += 0.3 * torch.randn(40, generator=torch.Generator().manual_seed(5))

    mean, std = policy.act(batch["actor"]), policy.std()
    ratio = (gaussian_log_prob(batch["action"], mean, std) - batch["log_prob"]).exp()
    gain = batch["advantage"]
    policy_loss = -torch.min(ratio * gain, ratio.clamp(1 - c.clip, 1 + c.clip) * gain).mean()
    value = policy.critic(policy.critic_normalizer(batch["critic"])).squeeze(-1)
    near = batch["value"] + (value - batch["value"]).clamp(-c.clip, c.clip)
    errors = torch.max((value - batch["return"]).square(), (near - batch["return"]).square())
    loss = policy_loss + c.value_weight * errors.mean() - c.entropy_weight * std.log().sum()
    share = ((ratio - 1).abs() > c.clip).float().mean()
    divergence = gaussian_kl(batch["mean"], batch["old_std"], mean, std).mean()
    expected = torch.autograd.grad(loss, list(policy.parameters()))

    logged = ppo._step(batch)
    for (name, parameter), gradient in zip(policy.named_parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6, msg=name)
    assert expected[0][1] == 0.0, "held by its bound"
    losses = torch.stack((divergence, policy_loss, errors.mean(), share)).detach()
    torch.testing.assert_close(logged, losses, rtol=1e-5, atol=1e-6)


def test_normalisers_learn_after_the_update_not_before():
    ppo = learner()
    rollout = experience(ppo.policy)
    seen: list[float] = []
    step = ppo._step
    ppo._step = lambda batch: (seen.append(float(ppo.policy.actor_normalizer.count)), step(batch))[1]
    ppo.update(rollout, 0.0)
    assert set(seen) == {0.0}
    assert float(ppo.policy.actor_normalizer.count) == 40
    assert float(ppo.policy.critic_normalizer.count) == 40


@pytest.mark.parametrize(("target", "grows"), [((1e6, 1e6), True), ((1e-9, 1e-9), False)])
def test_the_learning_rate_follows_the_divergence(target: tuple[float, float], grows: bool):
    """Far below the target it grows by 1.5 an epoch, far above it shrinks; the optimiser uses it."""
    ppo = learner(epochs=2, learning_rate=1e-3, learning_rate_range=(1e-9, 1.0), kl_target=target)
    logged = ppo.update(experience(ppo.policy), 0.0)
    expected = 1e-3 * 1.5 ** (2 if grows else -2)
    assert logged["learner/learning_rate"] == pytest.approx(expected)
    assert ppo.optimizer.param_groups[0]["lr"] == pytest.approx(expected)


@pytest.mark.parametrize(("target", "end"), [((1e6, 1e6), 1.2e-3), ((1e-9, 1e-9), 0.9e-3)])
def test_the_learning_rate_stays_in_its_range(target: tuple[float, float], end: float):
    ppo = learner(epochs=4, learning_rate=1e-3, learning_rate_range=(0.9e-3, 1.2e-3), kl_target=target)
    assert ppo.update(experience(ppo.policy), 0.0)["learner/learning_rate"] == pytest.approx(end)


def test_gradients_are_clipped_before_the_step():
    """Rewards a million times larger, without value normalisation's help: the gradient that Adam sees keeps its
    bound."""
    ppo = learner(epochs=3, minibatches=4, max_gradient_norm=0.01)
    norms: list[float] = []
    optimize = ppo.optimizer.step

    def watched(*args: object) -> object:
        gradients = [p.grad.norm() for p in ppo.policy.parameters() if p.grad is not None]
        norms.append(float(torch.stack(gradients).norm()))
        return optimize(*args)  # pyright: ignore

    ppo.optimizer.step = watched  # pyright: ignore[reportAttributeAccessIssue]
    ppo.update(experience(ppo.policy, scale=1e6), 0.0)
    assert len(norms) == 12
    assert max(norms) <= 0.01 * (1 + 1e-4)
    assert max(norms) > 0.009, "it was the clipping that held them"


def test_every_parameter_learns():
    ppo = learner()
    before = {name: value.detach().clone() for name, value in ppo.policy.named_parameters()}
    ppo.update(experience(ppo.policy), 0.0)
    assert [name for name, value in ppo.policy.named_parameters() if torch.equal(value, before[name])] == []


# Learning
# ---------------------------------------------------------------------------------------------------------------------
def test_it_solves_a_bandit():
    """One step, reward -(a - target)²: the mean goes to the target and the deviation to its floor's side."""
    ppo = learner(epochs=4, minibatches=2, gamma=0.0, learning_rate=3e-3)
    target = torch.tensor([0.6, -0.3])
    for _ in range(80):
        rollout = experience(ppo.policy, steps=1, worlds=256)
        rollout.reward = -(rollout.action - target).square().sum(-1)
        rollout.terminated |= True
        rollout.done |= True
        ppo.update(rollout, 0.0)
    with torch.no_grad():
        mean = ppo.policy.act(torch.randn(200, 3, generator=torch.Generator().manual_seed(3))).mean(0)
    torch.testing.assert_close(mean, target, rtol=0, atol=0.1)
    assert float(ppo.policy.std().detach().max()) < 0.3


def test_it_learns_to_fly(small: Callable[..., TrainConfig]):
    """30 small roll-outs with the reward held at its first weights: the return per episode more than doubles."""
    ppo = PPOConfig(horizon=32, epochs=3, minibatches=4, learning_rate=3e-3, learning_rate_range=(1e-4, 1e-2))
    config = small(num_envs=128, iterations=30, network=NetworkConfig(actor=(32, 32), critic=(32, 32)), ppo=ppo)
    trainer = Trainer(replace(config, curriculum_share=1e6))
    returns = [trainer.iterate()["episode/return"] for _ in range(30)]
    early, late = sum(returns[3:9]) / 6, sum(returns[-6:]) / 6
    assert late > 2 * early, (early, late)
