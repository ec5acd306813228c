"""A gradient step by hand: what the critics aim at, whom a loss moves, where the temperature goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from isthmus_policies.algorithms.sac.config import SACConfig
from isthmus_policies.algorithms.sac.learner import LOGGED, Learner
from isthmus_policies.algorithms.sac.replay import Transitions
from isthmus_policies.networks.squashed import SquashedActorCritic, SquashedConfig, squash
from isthmus_sim.task import Group

GROUPS = {"actor": Group(shape=(3,)), "critic": Group(shape=(4,))}


def made(critics: int = 2, **config: object) -> Learner:
    torch.manual_seed(0)
    policy = SquashedActorCritic(GROUPS, 2, SquashedConfig(actor=(8,), critic=(8,), critics=critics))
    return Learner(policy, SACConfig(**config), torch.Generator().manual_seed(1))  # pyright: ignore


def transitions(n: int = 64) -> Transitions:
    generator = torch.Generator().manual_seed(2)

    def seen() -> dict[str, Tensor]:
        return {name: torch.randn(n, *group.shape, generator=generator) for name, group in GROUPS.items()}

    action = 2 * torch.rand(n, 2, generator=generator) - 1
    return Transitions(
        observations=seen(), action=action, reward=torch.randn(n, generator=generator), next=seen(),
        discount=torch.full((n,), 0.9), known=torch.ones(n, dtype=torch.bool),
    )  # fmt: skip


def logged(learner: Learner, batch: Transitions) -> dict[str, float]:
    return dict(zip(LOGGED, learner.step(batch).tolist(), strict=True))


def weights(learner: Learner) -> dict[str, Tensor]:
    whole = {"actor": learner.actor.whole[:-1], "critics": learner.critics.whole, "temperature": learner.temperature}
    return {name: value.detach().clone() for name, value in whole.items()}


def test_critics_aim_at_the_soft_value_of_what_followed():
    """Reward plus the discounted least value of a new action, plus what its entropy is worth."""
    learner, batch = made(temperature=0.3), transitions()
    policy, noise = learner.policy, torch.empty(64, 2).normal_(generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        action, log_prob = squash(policy.output(batch.next), noise)
        aim = batch.reward + 0.9 * (learner.target(policy.judged(batch.next, action)).amin(0) - 0.3 * log_prob)
        values = policy.critics(policy.judged(batch.observations, batch.action))
        expected = sum(float((each - aim).square().mean()) for each in values)
    assert logged(learner, batch)["critic_loss"] == pytest.approx(expected, rel=1e-5)


def test_what_followed_an_end_does_not_matter_and_what_is_not_known_teaches_nothing():
    batch = replace(transitions(), discount=torch.zeros(64))
    elsewhere = replace(batch, next={name: 9 - value for name, value in batch.next.items()})
    first, second = made(), made()
    assert logged(first, batch)["critic_loss"] == logged(second, elsewhere)["critic_loss"]
    learner = made(actor_every=2)
    learner.steps = 1
    before = weights(learner)
    learner.step(replace(transitions(), known=torch.zeros(64, dtype=torch.bool)))
    assert all(torch.equal(before[name], value) for name, value in weights(learner).items())


def test_each_loss_moves_its_own_part_alone():
    learner, batch = made(actor_every=2), transitions()
    learner.steps, before = 1, weights(learner)  # not the actor's turn
    learner.step(batch)
    moved = {name for name, value in weights(learner).items() if not torch.equal(value, before[name])}
    assert moved == {"critics"}
    learner = made()
    before = weights(learner)
    learner._improve_actor(batch, learner.temperature)
    moved = {name for name, value in weights(learner).items() if not torch.equal(value, before[name])}
    assert moved == {"actor", "temperature"}


def test_target_critics_follow_at_their_rate():
    learner = made(target_rate=0.25)
    before = learner._target.detach().clone()
    learner.step(transitions())
    torch.testing.assert_close(learner._target.data, before.lerp(learner.critics.whole.data, 0.25))
    torch.testing.assert_close(torch.cat([p.flatten() for p in learner.target.parameters()]), learner._target.data)


@pytest.mark.parametrize(("aim", "rises"), [(5.0, True), (-5.0, False)])
def test_the_temperature_rises_where_there_is_less_entropy_than_asked_for(aim: float, rises: bool):
    learner, batch = made(target_entropy=aim), transitions()
    for _ in range(3):
        learner.step(batch)
    assert (float(learner.temperature) > 1.0) == rises


def test_a_fixed_temperature_stays():
    learner, batch = made(temperature=0.0), transitions()
    for _ in range(3):
        assert logged(learner, batch)["temperature"] == 0.0


def test_the_actor_goes_where_the_value_is():
    """With a value whose gradient by the action's first number is positive everywhere, and entropy worth nothing."""
    learner, batch = made(temperature=0.0, learning_rate=1e-2), transitions()
    learner._values.by_last = lambda gradient, count: torch.tensor([[-1.0 / 64, 0.0]]).expand(64, 2)
    for _ in range(100):
        learner._improve_actor(batch, learner.temperature)
    with torch.no_grad():
        assert float(learner.policy.act(batch.observations, {}, {})[0][:, 0].min()) > 0.8


def test_of_many_critics_the_least_of_some_counts():
    learner, values = made(critics=5, minimum_of=2), torch.randn(5, 400)
    least = learner._least(values)
    rank = values.argsort(0).argsort(0).gather(0, least)
    assert least.shape == (1, 400)
    for _ in range(30):
        seen = learner._least(values)
        pair = set(seen.flatten().tolist())
        assert len(pair) == 2, "a pair is drawn for the whole batch"
        i, j = sorted(pair)
        assert torch.equal(values.gather(0, seen)[0], values[[i, j]].amin(0))
    assert int(rank.max()) < 4
    assert torch.equal(made()._least(values[:2]), values[:2].argmin(0, keepdim=True))
    with pytest.raises(ValueError, match=r"minimum_of 2 critics, the policy has 1: take more \(policy.critics\)"):
        made(critics=1)
