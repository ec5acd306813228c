"""Mirror images: what they are, what the learner makes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from isthmus_policies.algorithms.ppo import PPO, PPOConfig
from isthmus_policies.algorithms.rollout import Rollout
from isthmus_policies.algorithms.symmetry import Reflection
from isthmus_policies.networks.actor_critic import ActorCritic, NetworkConfig
from isthmus_sim.task import Group, Mirror

MIRROR = {
    "actor": Mirror(index=(0, 2, 1), sign=(-1.0, 1.0, 1.0)),
    "critic": Mirror(index=(3, 1, 2, 0), sign=(1.0, -1.0, 1.0, 1.0)),
    "action": Mirror(index=(1, 0), sign=(-1.0, -1.0)),
}
SIZES = {"actor": 3, "critic": 4, "action": 2}

GROUPS = {"actor": Group(shape=(3,)), "critic": Group(shape=(4,))}


def reflection(**changes: Mirror) -> Reflection:
    return Reflection(MIRROR | changes, SIZES, torch.device("cpu"))


def learner(**config: object) -> PPO:
    torch.manual_seed(0)
    policy = ActorCritic(
        {"actor": Group(shape=(3,)), "critic": Group(shape=(4,))}, 2, NetworkConfig(actor=(8,), critic=(8,))
    )
    with torch.no_grad():
        policy.actor[-1].weight *= 50  # pyright: ignore
    return PPO(policy, PPOConfig(**config), torch.Generator().manual_seed(1), MIRROR)  # pyright: ignore


def experience(policy: ActorCritic, steps: int = 8, worlds: int = 5) -> Rollout:
    """On one side only: the actor's first number is positive."""
    generator = torch.Generator().manual_seed(2)
    actor, critic = (torch.randn(steps, worlds, size, generator=generator) for size in (3, 4))
    actor[..., 0].abs_()
    with torch.no_grad():
        mean = policy.act(actor.flatten(0, 1)).unflatten(0, (steps, worlds))
        action = mean + policy.std() * torch.randn(mean.shape, generator=generator)
    never = torch.zeros(steps, worlds, dtype=torch.bool)
    return Rollout(
        actor=actor, critic=critic, action=action, mean=mean, reward=-action[..., 0].square(), terminated=never,
        done=never.clone(), time_outs=[], last_critic=critic[-1],
    )  # fmt: skip


def only_batch(ppo: PPO, rollout: Rollout) -> dict[str, Tensor]:
    """As an update begins, with ratios that are not all 1."""
    batch = ppo._batch(rollout)
    batch["log_prob"] += 0.3 * torch.randn(40, generator=torch.Generator().manual_seed(5))
    return batch


# Images
# ---------------------------------------------------------------------------------------------------------------------
def test_an_image_is_another_order_with_signs():
    mirrored = reflection()
    rows = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert mirrored("actor", rows).tolist() == [[-1.0, 3.0, 2.0], [-4.0, 6.0, 5.0]]
    assert mirrored("action", torch.tensor([1.0, 2.0])).tolist() == [-2.0, -1.0]
    assert mirrored.variance("actor", torch.tensor([1.0, 2.0, 3.0])).tolist() == [1.0, 3.0, 2.0]


def test_an_images_image_is_the_row():
    mirrored, generator = reflection(), torch.Generator().manual_seed(0)
    for name, size in SIZES.items():
        rows = torch.randn(6, 5, size, generator=generator)
        assert torch.equal(mirrored(name, mirrored(name, rows)), rows)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Mirror(index=(0, 1), sign=(1.0, 1.0)), "mirror image of 'actor' is of 2 numbers, not of 3 in another order"),
        (Mirror(index=(0, 1, 1), sign=(1.0, 1.0, 1.0)), "'actor' is of 3 numbers, not of 3 in another order"),
        (Mirror(index=(1, 2, 0), sign=(1.0, 1.0, 1.0)), "image of 'actor', mirrored again, is not what it was"),
        (Mirror(index=(0, 2, 1), sign=(1.0, -1.0, 1.0)), "image of 'actor', mirrored again, is not what it was"),
    ],
)
def test_what_is_no_mirror_is_refused_by_name(wrong: Mirror, message: str):
    with pytest.raises(ValueError, match=message):
        reflection(actor=wrong)


def test_a_symmetry_needs_the_tasks_tables():
    policy = learner().policy
    with pytest.raises(ValueError, match="no mirror image of 'actor'; train it without symmetry"):
        PPO(policy, PPOConfig(symmetry=True), torch.Generator())
    PPO(policy, PPOConfig(), torch.Generator())


# The learner
# ---------------------------------------------------------------------------------------------------------------------
def test_a_symmetric_policy_answers_images_with_images_to_the_bit_and_stays_so():
    """Learning from one side only, through every update, PopArt's rescaling included."""
    ppo, mirrored = learner(symmetry=True, learning_rate=1e-2), reflection()
    rows = {name: torch.randn(20, size, generator=torch.Generator().manual_seed(3)) for name, size in SIZES.items()}
    for _ in range(5):
        rollout = experience(ppo.policy)
        ppo.update(rollout, 0.0)
        before = ppo.parameters.detach().clone()
        ppo._ties.hold_(ppo.parameters.detach())
        assert torch.equal(ppo.parameters, before)
        with torch.no_grad():
            here, there = (ppo.policy.actor(x) for x in (rows["actor"], mirrored("actor", rows["actor"])))
            torch.testing.assert_close(there, mirrored("action", here), rtol=0, atol=1e-6)
            value, images = (ppo.policy.critic(x) for x in (rows["critic"], mirrored("critic", rows["critic"])))
            torch.testing.assert_close(images, value, rtol=0, atol=1e-5)
        assert float(here.abs().max()) > 0.01
    std = ppo.policy.std()
    assert torch.equal(std, std[[1, 0]])


def test_tied_gradients_are_those_of_rows_and_their_images():
    """The mean over both sides of the gradients that untied weights would have: autograd's through the ties."""
    tied, plain = (learner(symmetry=s, learning_rate=0.0, max_gradient_norm=1e9) for s in (True, False))
    plain.parameters.data.copy_(tied.parameters.data)
    batch, mirrored = only_batch(tied, experience(tied.policy)), reflection()
    only_batch(plain, experience(plain.policy))  # rescales the value as the other's
    both = {
        name: value if name == "old_std" else value.repeat(2, *[1] * (value.dim() - 1)) for name, value in batch.items()
    }
    for name in ("actor", "critic", "action", "mean"):
        kind = "action" if name == "mean" else name
        both[name] = torch.cat((batch[name], mirrored(kind, batch[name])))
    logged, expected = tied._step(batch), plain._step(both)
    torch.testing.assert_close(tied.gradient, plain.gradient, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(logged, expected, rtol=1e-4, atol=1e-6)
    plain._step(batch)
    assert not torch.allclose(tied.gradient, plain.gradient, rtol=0.1), "the images matter"


def test_pairs_need_even_layers():
    policy = ActorCritic(
        {"actor": Group(shape=(3,)), "critic": Group(shape=(4,))}, 2, NetworkConfig(actor=(8, 7), critic=(8,))
    )
    with pytest.raises(ValueError, match="a hidden layer of 7 units has no pairs"):
        PPO(policy, PPOConfig(symmetry=True), torch.Generator(), MIRROR)


def test_normalisers_treat_both_sides_alike():
    """What they make of an image is the image of what they make of the row."""
    ppo, mirrored = learner(symmetry=True), reflection()
    ppo.update(experience(ppo.policy), 0.0)
    assert float(ppo.policy.actor_normalizer.count) == 80
    for name, normalizer in (("actor", ppo.policy.actor_normalizer), ("critic", ppo.policy.critic_normalizer)):
        rows = torch.randn(10, SIZES[name], generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(normalizer(mirrored(name, rows)), mirrored(name, normalizer(rows)))
        assert not torch.allclose(normalizer(rows), rows)


@pytest.mark.parametrize("symmetry", [True, False])
def test_what_is_learnt_on_one_side_holds_on_the_other(symmetry: bool):
    """A bandit that is met on one side only; its answers there are learnt either way."""
    ppo = learner(symmetry=symmetry, epochs=4, minibatches=2, gamma=0.0, learning_rate=3e-3)
    target = torch.tensor([0.6, -0.1])
    for _ in range(40):
        rollout = experience(ppo.policy, steps=1, worlds=128)
        rollout = replace(rollout, reward=-(rollout.action - target).square().sum(-1), terminated=~rollout.done)
        ppo.update(replace(rollout, done=rollout.terminated), 0.0)
    mirrored, rows = reflection(), experience(ppo.policy).actor.flatten(0, 1)
    with torch.no_grad():
        here, there = ppo.policy.act(rows).mean(0), ppo.policy.act(mirrored("actor", rows)).mean(0)
    torch.testing.assert_close(here, target, rtol=0, atol=0.15)
    difference = float((there - mirrored("action", here)).abs().max())
    assert difference < 1e-5 if symmetry else difference > 0.3
