"""What the learner makes of the actor's rows: a replay in which nothing follows what did not."""

from __future__ import annotations

import numpy as np
import torch

from isthmus_policies.actor_learner.experience import row_type
from isthmus_policies.actor_learner.received import Received
from isthmus_policies.algorithms.sac.replay import ReplayBuffer
from isthmus_sim.task import Group
from isthmus_sim.tasks import make_task

GROUPS = {"actor": Group(shape=(1,))}
TYPE = row_type(GROUPS, 2)


def rows(
    first: int, count: int, *, begins: bool = True, terminated: bool = False, truncated: bool = False
) -> np.ndarray:
    """An episode, or a part of one, whose observations are `first`, `first` + 1, …; the action has the same number."""
    made = np.zeros(count, TYPE)
    numbers = np.arange(first, first + count, dtype=np.float32)
    made["before"]["actor"], made["after"]["actor"] = numbers[:, None], numbers[:, None] + 1
    made["action"], made["reward"] = numbers[:, None], numbers
    made["first"][0] = begins
    made["terminated"][-1], made["truncated"][-1] = terminated, truncated
    return made


def received(*parts: np.ndarray) -> ReplayBuffer:
    made = Received(ReplayBuffer(make_task("push_t"), GROUPS, 1, 100, torch.device("cpu")))
    for part in parts:
        made.add(part, part["reward"], part["first"])
    return made.replay


def require_all(replay: ReplayBuffer, known: set[int], ended: set[int]) -> None:
    """Exactly these steps are known, each leads to the next number, and these have ended."""
    drawn = replay.sample(2000, 1, 0.5, torch.Generator().manual_seed(0))
    here, there = drawn.observations["actor"][:, 0], drawn.next["actor"][:, 0]
    assert set(here[drawn.known].int().tolist()) == known
    goes_on = drawn.known & (drawn.discount > 0)
    assert torch.equal(there[goes_on], here[goes_on] + 1)
    assert torch.equal(drawn.reward[drawn.known], here[drawn.known])
    assert set(here[drawn.known & (drawn.discount == 0)].int().tolist()) == ended


def test_episodes_that_end_and_that_run_out_of_time():
    replay = received(np.concatenate((rows(0, 3, terminated=True), rows(10, 2, truncated=True), rows(20, 2))))
    require_all(replay, {0, 1, 2, 10, 11, 20, 21}, {2})


def test_an_episode_comes_in_parts():
    require_all(received(rows(0, 2), rows(2, 1, begins=False), rows(3, 2, begins=False)), {0, 1, 2, 3, 4}, set())


def test_one_that_broke_off_is_closed_with_what_was_seen_last():
    """Its actor was killed, say: no row tells that it has ended."""
    require_all(received(rows(0, 2), rows(10, 2)), {0, 1, 10, 11}, set())
    require_all(received(np.concatenate((rows(0, 2), rows(10, 2)))), {0, 1, 10, 11}, set())


def test_returns_of_several_steps_end_with_their_episode():
    replay = received(rows(0, 3, truncated=True), rows(10, 3))
    drawn = replay.sample(2000, 3, 0.5, torch.Generator().manual_seed(0))
    second = (drawn.observations["actor"][:, 0] == 1) & drawn.known
    assert bool(second.any())
    assert set(drawn.reward[second].tolist()) == {1 + 0.5 * 2}
    assert set(drawn.next["actor"][second, 0].tolist()) == {3.0}
    assert set(drawn.discount[second].tolist()) == {0.25}
