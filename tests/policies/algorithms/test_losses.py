"""The gradient of the whole loss: by autograd for any policy, written out for plain perceptrons, and both the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from isthmus_policies.algorithms.batch import Batch
from isthmus_policies.algorithms.gradients import WrittenOut
from isthmus_policies.algorithms.learner import Learner
from isthmus_policies.algorithms.losses import Autograd, gaussian_kl, gaussian_log_prob
from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.algorithms.rollout import Rollout
from isthmus_policies.networks.actor_critic import ActorCritic, ActorCriticConfig
from isthmus_policies.networks.averaging_estimator import AveragingEstimator, AveragingEstimatorConfig
from isthmus_policies.networks.estimator import EstimatorConfig, EstimatorPolicy
from isthmus_policies.networks.gru import GruConfig, GruPolicy
from isthmus_policies.networks.normalizer import moments
from isthmus_sim.task import Group

CONFIG = PPOConfig(entropy_weight=0.01, value_weight=0.7)
Groups = dict[str, Group]
Experience = Callable[..., Rollout]


def plain(groups: Groups, activation: str = "tanh") -> ActorCritic:
    config = ActorCriticConfig(actor=(8, 6), critic=(8,), activation=activation)  # pyright: ignore
    return ActorCritic(groups, 2, config)


def learner_and_batch(policy: ActorCritic, experience: Experience) -> tuple[Learner, Batch]:
    """As an update begins, in double precision; ratios and values on both sides of the clipping, one component of the
    deviation held by its bound."""
    rollout = experience(policy, ends=0.2)
    for name, normalizer in policy.normalizers():
        mean, variance = moments(rollout.observations[name].flatten(0, 1) * 3)
        normalizer.merge(mean, variance, 40)
    with torch.no_grad():
        policy.log_std.copy_(torch.tensor([-0.5, 2.0]))
    policy.double()
    learner = Learner(policy, CONFIG, torch.Generator())
    batch = learner._batch(experience_in_double(rollout))
    shift = torch.randn(batch.log_prob.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return learner, dataclasses.replace(batch, log_prob=batch.log_prob + 0.3 * shift, value=batch.value + 0.3 * shift)


def experience_in_double(rollout: Rollout) -> Rollout:
    """The same roll-out; numbers double."""

    def double(value: object) -> object:
        if isinstance(value, dict):
            return {name: each.double() for name, each in value.items()}
        return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    return Rollout(**{name: double(value) for name, value in vars(rollout).items()})  # pyright: ignore


def gradients(learner: Learner, backward: Callable[[Batch], torch.Tensor], batch: Batch) -> dict[str, torch.Tensor]:
    """What `backward` writes, and what it logs."""
    learner.gradient.fill_(7.0)  # of an earlier step: written over, not added to
    logged = backward(batch)
    return {"logged": logged, **{n: p.grad.clone() for n, p in learner.policy.named_parameters() if p.grad is not None}}


@pytest.mark.parametrize("activation", ["tanh", "elu"])
def test_the_written_out_gradient_is_autograds(groups: Groups, experience: Experience, activation: str):
    torch.manual_seed(0)
    learner, batch = learner_and_batch(plain(groups, activation), experience)
    expected = gradients(learner, Autograd(learner.policy, CONFIG), batch)
    found = gradients(learner, WrittenOut(learner.policy, CONFIG), batch)
    assert 0.1 < float(expected["logged"][3]) < 0.9, "some ratios are clipped, some are not"
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-12, msg=name)


def test_autograds_loss_is_the_papers(groups: Groups, experience: Experience):
    """Written once more from Schulman et al. 2017, with the value clipped too."""
    torch.manual_seed(0)
    learner, batch = learner_and_batch(plain(groups), experience)
    policy, c = learner.policy, CONFIG
    mean, std = policy.mean(policy.actor_encoder(batch.observations), {}, batch.done), policy.std()
    ratio = (gaussian_log_prob(batch.action, mean, std) - batch.log_prob).exp()
    clipped = ratio.clamp(1 - c.clip, 1 + c.clip)
    surrogate = -torch.min(ratio * batch.advantage, clipped * batch.advantage).mean()
    value = policy.critic(policy.critic_encoder(batch.observations)).squeeze(-1)
    near = batch.value + (value - batch.value).clamp(-c.clip, c.clip)
    errors = torch.max((value - batch.returns).square(), (near - batch.returns).square()).mean()
    loss = surrogate + c.value_weight * errors - c.entropy_weight * std.log().sum()
    expected = torch.autograd.grad(loss, list(policy.parameters()))

    found = gradients(learner, Autograd(policy, c), batch)
    for (name, _), gradient in zip(policy.named_parameters(), expected, strict=True):
        torch.testing.assert_close(found[name], gradient, msg=name)
    assert found["log_std"][1] == 0.0, "held by its bound"
    kl = gaussian_kl(batch.mean, batch.old_std, mean, std).mean()
    share = ((ratio - 1).abs() > c.clip).double().mean()
    torch.testing.assert_close(found["logged"], torch.stack((kl, surrogate, errors, share)).detach(), check_dtype=False)


def test_the_fast_path_is_chosen_for_plain_perceptrons_alone(groups: Groups):
    class Own(ActorCritic):
        """May act in any way."""

    def chosen(policy: ActorCritic) -> type:
        return type(Learner(policy, CONFIG, torch.Generator()).backward)

    assert chosen(plain(groups)) is WrittenOut
    assert chosen(Own(groups, 2, ActorCriticConfig())) is Autograd
    assert chosen(GruPolicy(groups, 2, GruConfig())) is Autograd
    assert chosen(EstimatorPolicy(groups, 2, EstimatorConfig())) is Autograd
    with_loss = plain(groups)
    with_loss.auxiliary["mine"] = lambda observations, features: observations["actor"].mean()
    assert chosen(with_loss) is Autograd


def test_a_gradient_goes_back_through_the_steps_and_not_across_an_episodes_end(groups: Groups):
    """Finite differences of the mean action by the memory that a sequence begins with: it is felt until world 1's
    episode ends after step 1, and to the end in world 0."""
    torch.manual_seed(0)
    policy = GruPolicy(groups, 2, GruConfig(units=4)).double()
    rows = torch.randn(4, 2, 3, dtype=torch.float64)
    done = torch.tensor([[False, False], [False, True], [False, False], [False, False]])
    hidden = torch.zeros(2, 4, dtype=torch.float64, requires_grad=True)
    mean = policy.mean(policy.actor_encoder({"actor": rows}), {"hidden": hidden}, done)
    felt = torch.stack([torch.autograd.grad(step.sum(), hidden, retain_graph=True)[0].abs().sum(-1) for step in mean])
    assert (felt > 0).tolist() == [[True, True], [True, True], [True, False], [True, False]]


def averaging(groups: Groups) -> ActorCritic:
    return AveragingEstimator(groups, 2, AveragingEstimatorConfig(end=2, steps=3))


def recurrent(groups: Groups) -> ActorCritic:
    return GruPolicy(groups, 2, GruConfig(units=4))


@pytest.mark.parametrize("make", [recurrent, averaging])
def test_a_sequence_is_its_steps(groups: Groups, experience: Experience, make: Callable[[Groups], ActorCritic]):
    """The means of an update before it changes anything are those of the roll-out, memory and ends included."""
    torch.manual_seed(0)
    policy = make(groups)
    with torch.no_grad():
        policy.actor[-1].weight *= 50  # pyright: ignore
    rollout = experience(policy, ends=0.3)
    with torch.no_grad():
        again = policy.mean(policy.actor_encoder(rollout.observations), rollout.memory, rollout.done)
        without_ends = policy.mean(
            policy.actor_encoder(rollout.observations), rollout.memory, torch.zeros_like(rollout.done)
        )
    torch.testing.assert_close(again, rollout.mean, rtol=0, atol=1e-6)
    assert not torch.allclose(without_ends, rollout.mean, atol=1e-3)


def test_an_auxiliary_loss_joins_the_gradient_and_the_log(groups: Groups, experience: Experience):
    """Two lines and one registration: the weights of a layer are drawn towards zero."""
    torch.manual_seed(0)
    policy = plain(groups)
    weight = next(policy.actor.parameters())
    policy.auxiliary["decay"] = lambda observations, features: 0.5 * weight.square().sum()
    learner, batch = learner_and_batch(policy, experience)
    with_loss = gradients(learner, Autograd(policy, CONFIG), batch)
    assert learner.columns[4] == "learner/decay"
    torch.testing.assert_close(with_loss["logged"][4], 0.5 * weight.square().sum().detach())
    del policy.auxiliary["decay"]
    without = gradients(learner, Autograd(policy, CONFIG), batch)
    difference = with_loss["actor.0.weight"] - without["actor.0.weight"]
    torch.testing.assert_close(difference, weight.detach())
    assert torch.equal(with_loss["critic.0.weight"], without["critic.0.weight"])
