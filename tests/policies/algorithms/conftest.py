"""Experience that the tests of learning share: made up, so that each number in it is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from isthmus_policies.algorithms.rollout import Rollout
from isthmus_policies.networks.actor_critic import ActorCritic
from isthmus_policies.networks.policy import restart
from isthmus_sim.task import Group

GROUPS = {"actor": Group(shape=(3,)), "critic": Group(shape=(4,))}


def _experience(
    policy: ActorCritic, steps: int = 8, worlds: int = 5, scale: float = 1.0, ends: float = 0.0, one_side: bool = False
) -> Rollout:
    """Random observations, the policy's own actions around its mean, and a reward for a small first action. A share
    `ends` of the steps ends an episode; on one side the actor's first number is positive."""
    generator = torch.Generator().manual_seed(2)
    actor, critic = (torch.randn(steps, worlds, size, generator=generator) for size in (3, 4))
    if one_side:
        actor[..., 0].abs_()
    done = torch.rand(steps, worlds, generator=generator) < ends
    memory = {name: torch.randn(worlds, *g.shape, generator=generator) * 0.3 for name, g in policy.memory.items()}
    carried, means = {name: value.clone() for name, value in memory.items()}, []
    with torch.no_grad():
        for t in range(steps):
            mean, carried = policy.act({"actor": actor[t], "critic": critic[t]}, carried, {})
            restart(carried, done[t].nonzero().squeeze(-1))
            means.append(mean)
        mean = torch.stack(means)
        action = mean + policy.std() * torch.randn(mean.shape, generator=generator)
    return Rollout(
        observations={"actor": actor, "critic": critic}, memory=memory, action=action, mean=mean,
        reward=-scale * action[..., 0].square(), terminated=done, done=done.clone(), time_outs=[],
        last={"critic": critic[-1]},
    )  # fmt: skip


@pytest.fixture(scope="session")
def groups() -> dict[str, Group]:
    """Three numbers for the actor, four for the critic."""
    return GROUPS


@pytest.fixture(scope="session")
def experience() -> Callable[..., Rollout]:
    """Makes up a roll-out of a policy that acts on `groups`."""
    return _experience
