"""Episodes end and start again, each for its own reason."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import pytest
from beads import Bead, beads, near, pushed


def test_an_episode_by_hand():
    env = beads(2)
    env.engine.x[1] = 2.5
    first = pushed(env, 0.5, 0.25)
    near(first.observations["actor"], [[0.5, 0.1], [2.75, 0.1]])
    near(first.reward, [2.0 - 0.4, 2.0 - 2.65])
    assert not (first.terminated | first.truncated | first.succeeded).any()
    second = pushed(env, 0.5, 0.5)
    assert (second.terminated.tolist(), second.ended.tolist()) == ([False, True], [1])
    near(second.final["actor"], [[3.25, 0.2]])  # the true last one
    assert second.final["critic"].tolist() == [[3.25]]
    assert second.observations["actor"][1].tolist() == [0.0, 0.0], "already the first of the next"
    assert second.episode_length.tolist() == [2]
    third = pushed(env, 0.5, 0.5)
    near(third.observations["actor"], [[1.5, 0.3], [0.5, 0.1]])
    assert env.memory["steps"].tolist() == [[10.0], [8.0]], "its memory, too, starts anew"


def test_out_of_time_is_neither_failure_nor_success():
    env = beads(3, episode_steps=2)
    env.engine.x[1] = 2.0
    assert not pushed(env, 0.0, 0.9, 0.0).truncated.any()
    step = pushed(env, 0.0, 0.9, -1.0)
    assert step.truncated.tolist() == [True, False, True]
    assert step.terminated.tolist() == [False, True, False], "what fails in the last step has failed"
    assert step.succeeded.tolist() == [False] * 3
    assert step.ended.tolist() == [0, 1, 2]
    assert step.reward[0] == pytest.approx(2.0 - 0.2), "the last step of a full episode is rewarded"
    assert not pushed(env, 0.0, 0.0, 0.0).truncated.any(), "the clock starts anew"


def test_success_ends_an_episode_with_its_last_reward():
    env = beads(2)
    env.engine.x[:] = -1.5
    step = pushed(env, -1.0, 0.0)
    assert step.succeeded.tolist() == step.terminated.tolist() == [True, False]
    assert not step.truncated.any()
    assert float(step.reward[0]) == pytest.approx(2.0 - 2.6)
    assert step.episode_terms["off"].tolist() == pytest.approx([-2.6])


def test_what_fails_has_not_succeeded():
    class Both(Bead):
        def succeeded(self, state, goal):
            return state["x"][:, 0] > 2.9

    env = beads(1, Both())
    env.engine.x[0] = 2.5
    step = pushed(env, 1.0)
    assert step.terminated.tolist() == [True]
    assert step.succeeded.tolist() == [False]


def test_a_task_without_a_goal_never_succeeds():
    class Endless(Bead):
        has_goal = False

        def succeeded(self, state, goal):
            return None

    env = beads(1, Endless(), episode_steps=3)
    env.engine.x[0] = -5.0
    steps = [pushed(env, 0.0) for _ in range(3)]
    assert [bool(step.succeeded) for step in steps] == [False] * 3
    assert [bool(step.truncated) for step in steps] == [False, False, True]
