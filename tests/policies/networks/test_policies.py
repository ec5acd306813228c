"""Policies by name: those that are registered act, export's way of calling them included, and bad ones are refused
before training starts."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from isthmus_policies.networks.averaging_estimator import AveragingEstimator, AveragingEstimatorConfig
from isthmus_policies.networks.estimator import EstimatorConfig, EstimatorPolicy
from isthmus_policies.networks.gru import GruConfig, GruPolicy
from isthmus_policies.networks.policy import (
    POLICIES,
    Policy,
    PolicyEntry,
    check_policy,
    make_policy,
    restart,
)
from isthmus_sim.task import Group

GROUPS = {
    "actor": Group(shape=(4,)), "critic": Group(shape=(6,)), "image": Group(shape=(16, 16, 3), dtype="uint8"),
}  # fmt: skip
SHIPPED = ["averaging_estimator", "cnn", "estimator", "gru", "mlp", "sequence", "squashed"]


def made(name: str) -> Policy:
    torch.manual_seed(0)
    return make_policy(name, POLICIES[name].config, GROUPS, 2)


def observations(n: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "actor": torch.randn(n, 4, generator=generator),
        "image": torch.randint(0, 256, (n, 16, 16, 3), dtype=torch.uint8, generator=generator),
    }


def test_the_shipped_policies_are_registered():
    assert set(SHIPPED) <= set(POLICIES)


@pytest.mark.parametrize("name", SHIPPED)
def test_each_robot_acts_for_itself_and_needs_only_what_it_measures(name: str):
    """The same in a batch and alone, over some steps, also as a copy."""
    policy = made(name).eval()
    batch, alone = policy.initial_memory(3), copy.deepcopy(policy).initial_memory(1)
    for _ in range(3):
        seen = observations(3)
        with torch.no_grad():
            action, batch = policy.act(seen, batch, {})
            one, alone = copy.deepcopy(policy).act({n: v[1:2] for n, v in seen.items()}, alone, {})
        torch.testing.assert_close(one, action[1:2])
    assert {name: tuple(value.shape[1:]) for name, value in batch.items()} == {
        name: group.shape for name, group in policy.memory.items()
    }


@pytest.mark.parametrize("name", SHIPPED)
def test_each_traces_with_a_free_batch(name: str):
    """As the export compiles it."""

    class Flat(nn.Module):
        def __init__(self, policy: Policy) -> None:
            super().__init__()
            self.policy = policy

        def forward(self, seen: dict[str, Tensor], memory: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
            return self.policy.act(seen, memory, {})

    policy = made(name).eval()
    seen = {group: value for group, value in observations(2).items() if group in policy.groups}
    batch = torch.export.Dim("batch", min=1)
    shapes = {n: {0: batch} for n in seen}, {n: {0: batch} for n in policy.memory}
    program = torch.export.export(Flat(policy), (seen, policy.initial_memory(2)), dynamic_shapes=shapes).module()
    seen = {group: value for group, value in observations(5).items() if group in policy.groups}
    with torch.no_grad():
        found, _ = program(seen, policy.initial_memory(5))
        expected, _ = policy.act(seen, policy.initial_memory(5), {})
    torch.testing.assert_close(found, expected)


# What they do
# ---------------------------------------------------------------------------------------------------------------------
def test_a_recurrent_policy_is_a_gated_recurrent_unit_by_hand():
    """Cho et al. 2014 with one unit: r = σ(0), z = σ(0), n = tanh(x + r·h); h' = (1 - z) n + z h."""
    policy = GruPolicy({"actor": Group(shape=(1,)), "critic": Group(shape=(1,))}, 1, GruConfig(units=1))
    with torch.no_grad():
        for parameter in policy.cell.parameters():
            parameter.zero_()
        policy.cell.weight_ih[2], policy.cell.weight_hh[2] = 1.0, 1.0
        _, memory = policy.act({"actor": torch.tensor([[0.5]])}, {"hidden": torch.tensor([[0.8]])}, {})
    assert float(memory["hidden"]) == pytest.approx(0.5 * math.tanh(0.5 + 0.5 * 0.8) + 0.5 * 0.8)


def test_an_estimate_reaches_the_actor_but_its_gradient_does_not_come_back():
    policy = EstimatorPolicy(GROUPS, 2, EstimatorConfig(first=1, end=3, weight=2.0))
    seen = observations(5) | {"critic": torch.randn(5, 6)}
    before = policy.act(seen, {}, {})[0]
    before.sum().backward()
    assert all(parameter.grad is None for parameter in policy.estimator.parameters())
    with torch.no_grad():
        next(policy.actor.parameters()).mul_(10)
        before = policy.act(seen, {}, {})[0]
        list(policy.estimator.parameters())[-1].add_(1.0)
    assert not torch.allclose(policy.act(seen, {}, {})[0], before)

    estimate = policy.estimator(policy.actor_encoder(seen))
    expected = 2.0 * (estimate - seen["critic"][:, 1:3]).square().mean()
    torch.testing.assert_close(policy.auxiliary["estimate"](seen, policy.actor_encoder(seen)), expected)
    assert policy.learns_from() == ("actor", "critic")


@pytest.mark.parametrize("name", ["estimator", "averaging_estimator"])
def test_an_actor_may_read_only_some_of_what_is_estimated_from(name: str):
    """The image then reaches the actor through the estimate alone."""
    config = replace(POLICIES[name].config, actor_groups=("actor", "image"), direct_groups=("actor",))
    policy = make_policy(name, config, GROUPS, 2)
    assert isinstance(policy, EstimatorPolicy)
    assert policy.groups == ("actor", "image")
    seen = observations(5)
    other = seen | {"image": 255 - seen["image"]}
    memory = policy.initial_memory(5, torch.device("cpu"))
    with torch.no_grad():
        next(policy.actor.parameters()).mul_(10)
        assert not torch.allclose(policy.act(seen, memory, {})[0], policy.act(other, memory, {})[0])
        for parameter in policy.estimator.parameters():
            parameter.zero_()
        torch.testing.assert_close(policy.act(seen, memory, {})[0], policy.act(other, memory, {})[0])


def test_an_estimate_may_be_of_a_group_that_nobody_else_reads():
    groups = GROUPS | {"truth": Group(shape=(3,))}
    policy = EstimatorPolicy(groups, 2, EstimatorConfig(target="truth"))
    assert policy.learns_from() == ("actor", "critic", "truth")
    assert policy.sizes["truth"] == 3
    assert [name for name, _ in policy.normalizers()] == ["actor", "critic", "truth"]


def test_the_average_of_estimates_moves_towards_them_by_hand():
    """With a time constant of 4 steps by a quarter of what is left, and the actor sees it."""
    policy = AveragingEstimator(GROUPS, 2, AveragingEstimatorConfig(first=1, end=3, steps=4))
    seen = observations(5)
    with torch.no_grad():
        next(policy.actor.parameters()).mul_(10)
        estimate = policy.estimator(policy.actor_encoder(seen))
        action, memory = policy.act(seen, {"average": torch.full((5, 2), 0.8)}, {})
        other, _ = policy.act(seen, {"average": torch.zeros(5, 2)}, {})
    torch.testing.assert_close(memory["average"], 0.6 + 0.25 * estimate)
    assert not torch.allclose(action, other)


def test_memory_begins_anew_for_those_whose_episode_ended():
    memory = {"hidden": torch.ones(3, 2)}
    restart(memory, torch.tensor([2, 0]))
    assert memory["hidden"].tolist() == [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]


# What is refused
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("mlp", {"actor_groups": ("actor", "image")}, "policy 'mlp': observation group 'image' is an image"),
        ("mlp", {"critic_groups": ("state",)}, "policy 'mlp': unknown observation group 'state'; the task has: actor"),
        ("squashed", {"critic_groups": ("image",)}, "policy 'squashed': observation group 'image' is an image"),
        ("gru", {"units": 0}, "policy 'gru': units must be at least 1, got 0"),
        ("averaging_estimator", {"steps": 0}, "policy 'averaging_estimator': steps must be at least 1, got 0"),
        ("estimator", {"target": "truth"}, "policy 'estimator': unknown observation group 'truth'"),
        ("estimator", {"first": 4, "end": 9}, "numbers 4 to 9 are none of group 'critic', which has 6"),
        ("estimator", {"target": "image"}, "policy 'estimator': .*'image' is an image"),
    ],
)
def test_a_configuration_that_does_not_fit_the_task_is_named(name: str, changes: dict, told: str):
    with pytest.raises(ValueError, match=told):
        make_policy(name, replace(POLICIES[name].config, **changes), GROUPS, 2)


def test_an_unknown_policy_and_anothers_configuration_are_named():
    with pytest.raises(ValueError, match=r"unknown policy 'transformer'; there are: .*mlp"):
        make_policy("transformer", None, GROUPS, 2)
    with pytest.raises(ValueError, match="policy 'gru' takes a GruConfig, not a ActorCriticConfig"):
        make_policy("gru", POLICIES["mlp"].config, GROUPS, 2)


class Counting(Policy):
    """Somebody's policy that remembers how often it acted; subclasses do something wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.groups = ("actor",)
        self.memory = {"count": Group(shape=(1,))}

    def act(self, observations: dict, memory: dict, noise: dict) -> tuple[Tensor, dict]:
        return observations["actor"][:, :2] * memory["count"], self.next(memory["count"])

    def next(self, count: Tensor) -> dict[str, Tensor]:
        return {"count": count + 1}


class Branching(Counting):
    def next(self, count: Tensor) -> dict[str, Tensor]:
        return {"count": count + 1 if count.sum() > 0 else count + 2}


class ThroughNumpy(Counting):
    def next(self, count: Tensor) -> dict[str, Tensor]:
        return {"count": torch.from_numpy(np.asarray(count.numpy()) + 1)}


class Renaming(Counting):
    def next(self, count: Tensor) -> dict[str, Tensor]:
        return {"counter": count + 1}


class Reshaping(Counting):
    def next(self, count: Tensor) -> dict[str, Tensor]:
        return {"count": count.squeeze(-1)}


class Hiding(Counting):
    calls = 0

    def act(self, observations: dict, memory: dict, noise: dict) -> tuple[Tensor, dict]:
        self.calls += 1
        return observations["actor"][:, :2] + self.calls, self.next(memory["count"])


class Wide(Counting):
    def act(self, observations: dict, memory: dict, noise: dict) -> tuple[Tensor, dict]:
        return observations["actor"], self.next(memory["count"])


class Peeping(Counting):
    def act(self, observations: dict, memory: dict, noise: dict) -> tuple[Tensor, dict]:
        return observations["critic"][:, :2], self.next(memory["count"])


def test_a_policy_with_a_memory_of_its_own_passes():
    check_policy(Counting(), GROUPS, 2)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (Branching, r"does not trace, .*\(memory: count\)"),
        (ThroughNumpy, r"does not trace, .*\(memory: count\)"),
        (Renaming, "act.. gives the next memory {'counter': .*declared is {'count'"),
        (Reshaping, "act.. gives the next memory"),
        (Hiding, "keeps something outside its memory"),
        (Peeping, "act.. reads 'critic', which it does not declare; it declares: actor, count"),
        (Wide, r"its action for 2 robots is \(2, 4\), it must be \(2, 2\)"),
    ],
)
def test_a_policy_that_could_not_be_exported_is_refused_before_training(
    wrong: type[Counting], told: str, monkeypatch: pytest.MonkeyPatch
):
    entry = PolicyEntry(config=GruConfig(), make=lambda config, groups, size: wrong())
    monkeypatch.setitem(POLICIES._loaded, "theirs", entry)
    with pytest.raises(ValueError, match=f"policy 'theirs': .*{told}"):
        make_policy("theirs", GruConfig(), GROUPS, 2)
