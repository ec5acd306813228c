"""Mirror images: what they are, what the learner makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from isthmus_policies.algorithms.batch import Batch
from isthmus_policies.algorithms.learner import Learner
from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.algorithms.rollout import Rollout
from isthmus_policies.algorithms.symmetry import Reflection
from isthmus_policies.networks.actor_critic import ActorCritic, ActorCriticConfig, Elements
from isthmus_policies.networks.averaging_estimator import AveragingEstimator, AveragingEstimatorConfig
from isthmus_policies.networks.estimator import EstimatorConfig, EstimatorPolicy
from isthmus_policies.networks.gru import GruConfig, GruPolicy
from isthmus_policies.networks.policy import Tensors
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


Experience = Callable[..., Rollout]


def learner(kind: str = "mlp", **options: object) -> Learner:
    torch.manual_seed(0)
    if kind == "gru":
        policy = GruPolicy(GROUPS, 2, GruConfig(actor=(8,), critic=(8,), units=6))
    elif kind == "estimator":
        policy = EstimatorPolicy(GROUPS, 2, EstimatorConfig(actor=(8,), critic=(8,), estimator=(4,), first=1, end=3))
    elif kind == "averaging_estimator":
        config = AveragingEstimatorConfig(actor=(8,), critic=(8,), estimator=(4,), first=1, end=3, steps=2)
        policy = AveragingEstimator(GROUPS, 2, config)
    else:
        policy = ActorCritic(GROUPS, 2, ActorCriticConfig(actor=(8,), critic=(8,)))
    with torch.no_grad():
        policy.actor[-1].weight *= 50  # pyright: ignore
    return Learner(policy, PPOConfig(**options), torch.Generator().manual_seed(1), MIRROR)  # pyright: ignore


def only_batch(learner: Learner, rollout: Rollout) -> Batch:
    """As an update begins, with ratios that are not all 1."""
    batch = learner._batch(rollout)
    shift = 0.3 * torch.randn(batch.log_prob.shape, generator=torch.Generator().manual_seed(5))
    return replace(batch, log_prob=batch.log_prob + shift)


def with_images(batch: Batch) -> Batch:
    """Rows and then their mirror images, of everything."""
    mirrored = reflection()

    def twice(value: Tensor) -> Tensor:
        return torch.cat((value, value))

    return replace(
        batch,
        observations={name: torch.cat((rows, mirrored(name, rows))) for name, rows in batch.observations.items()},
        action=torch.cat((batch.action, mirrored("action", batch.action))),
        mean=torch.cat((batch.mean, mirrored("action", batch.mean))),
        done=twice(batch.done), log_prob=twice(batch.log_prob), advantage=twice(batch.advantage),
        value=twice(batch.value), returns=twice(batch.returns),
    )  # fmt: skip


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
        Learner(policy, PPOConfig(symmetry=True), torch.Generator())
    Learner(policy, PPOConfig(), torch.Generator())


def test_numbers_whose_images_are_elsewhere_cannot_be_estimated_alone():
    mirrored = reflection()
    index, sign = mirrored.place(Elements(name="critic", first=1, end=3))
    assert (index.tolist(), sign.tolist()) == ([0, 1], [-1.0, 1.0])
    with pytest.raises(ValueError, match="numbers 0 to 2 of 'critic' have mirror images that are not among them"):
        mirrored.place(Elements(name="critic", first=0, end=2))


# The learner
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["mlp", "gru", "estimator", "averaging_estimator"])
def test_a_symmetric_policy_answers_images_with_images_to_the_bit_and_stays_so(kind: str, experience: Experience):
    """Learning from one side only, through every update, PopArt's rescaling included; step after step with a
    memory."""
    tied, mirrored = learner(kind, symmetry=True, learning_rate=1e-2, minibatches=5), reflection()
    generator = torch.Generator().manual_seed(3)
    rows = [{name: torch.randn(20, GROUPS[name].size, generator=generator) for name in GROUPS} for _ in range(3)]
    images = [{name: mirrored(name, value) for name, value in group.items()} for group in rows]
    answers: list[Tensor] = []
    for _ in range(5):
        tied.update(experience(tied.policy, one_side=True), 0.0)
        before = tied.parameters.detach().clone()
        tied._ties.project_(tied.parameters.detach())
        assert torch.equal(tied.parameters, before)
        with torch.no_grad():
            answers, reflected = answered(tied.policy, rows), answered(tied.policy, images)
            torch.testing.assert_close(tied.policy.value(images[0]), tied.policy.value(rows[0]), rtol=0, atol=1e-4)
        for here, there in zip(answers, reflected, strict=True):
            torch.testing.assert_close(there, mirrored("action", here), rtol=0, atol=1e-5)
    assert float(answers[0].abs().max()) > 0.01
    assert not tied.policy.memory or not torch.allclose(answers[0], answered(tied.policy, rows[1:] + rows[:1])[2])
    std = tied.policy.std()
    assert torch.equal(std, std[[1, 0]])


def answered(policy: ActorCritic, steps: list[Tensors]) -> list[Tensor]:
    """Its actions in the steps of an episode."""
    memory, answers = policy.initial_memory(20), []
    for observations in steps:
        action, memory = policy.act(observations, memory, {})
        answers.append(action.detach())
    return answers


def test_tied_gradients_are_those_of_rows_and_their_images(experience: Experience):
    """The mean over both sides of the gradients that untied weights would have: autograd's through the ties."""
    tied, plain = (learner(symmetry=s, learning_rate=0.0, max_gradient_norm=1e9) for s in (True, False))
    plain.parameters.data.copy_(tied.parameters.data)
    batch = only_batch(tied, experience(tied.policy, one_side=True))
    only_batch(plain, experience(plain.policy, one_side=True))  # rescales the value as the other's
    logged, expected = tied._step(batch), plain._step(with_images(batch))
    torch.testing.assert_close(tied.gradient, plain.gradient, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(logged, expected, rtol=1e-4, atol=1e-6)
    plain._step(batch)
    assert not torch.allclose(tied.gradient, plain.gradient, rtol=0.1), "the images matter"


def test_pairs_need_even_layers():
    policy = ActorCritic(GROUPS, 2, ActorCriticConfig(actor=(8, 7), critic=(8,)))
    with pytest.raises(ValueError, match="a hidden layer of 7 units has no pairs"):
        Learner(policy, PPOConfig(symmetry=True), torch.Generator(), MIRROR)


def test_a_network_that_nobody_says_how_to_mirror_is_refused_by_name():
    policy = learner().policy
    policy.scale = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(ValueError, match="how the policy's scale is mirrored; train it without symmetry"):
        Learner(policy, PPOConfig(symmetry=True), torch.Generator(), MIRROR)


def test_normalisers_treat_both_sides_alike(experience: Experience):
    """What they make of an image is the image of what they make of the row."""
    tied, mirrored = learner(symmetry=True), reflection()
    tied.update(experience(tied.policy, one_side=True), 0.0)
    for name, normalizer in tied.policy.normalizers():
        assert float(normalizer.count) == 80
        rows = torch.randn(10, SIZES[name], generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(normalizer(mirrored(name, rows)), mirrored(name, normalizer(rows)))
        assert not torch.allclose(normalizer(rows), rows)


@pytest.mark.parametrize("symmetry", [True, False])
def test_what_is_learnt_on_one_side_holds_on_the_other(symmetry: bool, experience: Experience):
    """A bandit that is met on one side only; its answers there are learnt either way."""
    learning = learner(symmetry=symmetry, epochs=4, minibatches=2, gamma=0.0, learning_rate=3e-3)
    policy, target = learning.policy, torch.tensor([0.6, -0.1])
    for _ in range(40):
        rollout = experience(policy, steps=1, worlds=128, one_side=True)
        ends = torch.ones_like(rollout.done)
        reward = -(rollout.action - target).square().sum(-1)
        learning.update(replace(rollout, reward=reward, terminated=ends, done=ends), 0.0)
    mirrored, rows = reflection(), experience(policy, one_side=True).observations["actor"].flatten(0, 1)
    with torch.no_grad():
        here, there = (policy.act({"actor": x}, {}, {})[0].mean(0) for x in (rows, mirrored("actor", rows)))
    torch.testing.assert_close(here, target, rtol=0, atol=0.15)
    difference = float((there - mirrored("action", here)).abs().max())
    assert difference < 1e-5 if symmetry else difference > 0.3
