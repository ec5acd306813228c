"""A plan is made upon a look and done without another one, by each robot for itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from isthmus_policies.networks.cnn import CnnConfig
from isthmus_policies.networks.policy import restart
from isthmus_policies.networks.sequence import SequenceActorCritic, SequenceConfig
from isthmus_sim.task import Group

GROUPS = {
    "actor": Group(shape=(3,)), "critic": Group(shape=(4,)), "image": Group(shape=(8, 8, 3), dtype="uint8"),
}  # fmt: skip


def made(length: int = 4, period: int = 3) -> SequenceActorCritic:
    torch.manual_seed(0)
    policy = SequenceActorCritic(GROUPS, 2, SequenceConfig(actor=(8,), units=8, length=length, period=period))
    with torch.no_grad():
        policy.actor.head[-1].weight.mul_(100.0)  # pyright: ignore
    return policy


@torch.no_grad()
def acted(policy: SequenceActorCritic, seen: Tensor, restarts: dict[int, list[int]]) -> Tensor:
    """Actions (steps, n, 2) upon what is seen (steps, n, 3); worlds begin anew before the steps that are named."""
    memory, actions = policy.initial_memory(seen.shape[1]), []
    for t, rows in enumerate(seen):
        restart(memory, torch.tensor(restarts.get(t, []), dtype=torch.long))
        action, memory = policy.act({"actor": rows}, memory, {})
        actions.append(action)
    return torch.stack(actions)


@torch.no_grad()
def sequences(policy: SequenceActorCritic, seen: Tensor) -> Tensor:
    """(n, length, 2)."""
    return policy.sequence({"actor": seen})[..., :2].tanh()


def test_it_looks_every_so_many_steps_and_nothing_between_matters():
    policy, seen = made(), torch.randn(7, 5, 3)
    found = acted(policy, seen, {})
    for begin, count in ((0, 3), (3, 3), (6, 1)):
        expected = sequences(policy, seen[begin])[:, :count].transpose(0, 1)
        torch.testing.assert_close(found[begin : begin + count], expected)
    assert float(found.std()) > 0.05, "actions differ"
    torch.testing.assert_close(policy.output({"actor": seen[0]})[:, :2].tanh(), found[0])


def test_who_begins_anew_looks_and_the_others_go_on():
    policy, seen = made(), torch.randn(4, 2, 3)
    found = acted(policy, seen, {2: [1]})
    torch.testing.assert_close(found[:3, 0], sequences(policy, seen[0])[0, :3])
    torch.testing.assert_close(found[3, 0], sequences(policy, seen[3])[0, 0])
    torch.testing.assert_close(found[2:, 1], sequences(policy, seen[2])[1, :2])


def test_with_a_look_in_every_step_it_is_a_policy_without_memory():
    policy, seen = made(period=1), torch.randn(3, 2, 3)
    found = acted(policy, seen, {})
    torch.testing.assert_close(found, torch.stack([sequences(policy, rows)[:, 0] for rows in seen]))


def test_an_actor_may_look_through_a_camera():
    eyes = CnnConfig(patch=2, overlap=0, channels=(4,))
    config = SequenceConfig(actor_groups=("image",), image=eyes, length=2, period=2)
    policy = SequenceActorCritic(GROUPS, 2, config)
    action, memory = policy.act({"image": torch.zeros(3, 8, 8, 3, dtype=torch.uint8)}, policy.initial_memory(3), {})
    assert action.shape == (3, 2)
    assert memory["left"].tolist() == [[1.0]] * 3


def test_what_cannot_be_foretold_is_refused():
    with pytest.raises(ValueError, match="'image' are images: leave them to the actor"):
        SequenceActorCritic(GROUPS, 2, SequenceConfig(critic_groups=("critic", "image")))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"period": 0}, "period must be from 1 to the length 16, got 0"),
        ({"period": 17}, "period must be from 1 to the length 16, got 17"),
        ({"units": 0}, "units must be at least 1, got 0"),
    ],
)
def test_a_configuration_that_cannot_be_is_named(changes: dict, told: str):
    with pytest.raises(ValueError, match=told):
        SequenceConfig(**changes)
