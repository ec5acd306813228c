"""What a step earns and what is measured of it belong to that step."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import pytest
import torch
from beads import Bead, beads, near, pushed

from isthmus_sim.task import Transition


def test_a_failing_step_earns_nothing():
    env = beads(1)
    pushed(env, 1.0)
    env.engine.x[0] = 2.5
    step = pushed(env, 1.0)
    assert step.reward.tolist() == [0.0]
    assert env.reward_terms == ("off", "alive")
    assert {name: float(sums) for name, sums in step.episode_terms.items()} == pytest.approx(
        {"off": -0.9, "alive": 2.0}
    )


def test_a_failing_step_earns_what_the_task_says_and_nothing_else():
    class Costly(Bead):
        failure_reward = -5.0

    env = beads(2, Costly())
    near(pushed(env, 1.0, 1.0).reward, [1.1, 1.1])
    env.engine.x[0] = 2.5
    step = pushed(env, 1.0, 0.0)
    near(step.reward, [-5.0, 2.0 - 0.8])
    terms = {name: float(sums) for name, sums in step.episode_terms.items()}
    assert terms == pytest.approx({"off": -0.9, "alive": 2.0, "failure": -5.0})


def test_the_terms_of_an_episode_sum_to_its_return():
    class Costly(Bead):
        failure_reward = -5.0

    env, generator, checked = beads(16, Costly()), torch.Generator().manual_seed(0), 0
    returns, lengths = torch.zeros(16), torch.zeros(16)
    for _ in range(60):
        step = env.step(2 * torch.rand(16, 1, generator=generator) - 0.6)
        returns += step.reward
        lengths += 1
        torch.testing.assert_close(torch.stack(list(step.episode_terms.values())).sum(0), returns[step.ended])
        assert torch.equal(step.episode_length.float(), lengths[step.ended])
        returns[step.ended], lengths[step.ended] = 0.0, 0.0
        checked += len(step.ended)
    assert checked > 50


def test_metrics_are_of_what_the_step_led_to_and_not_of_the_next_episode():
    env = beads(2, measure=True)
    env.engine.x[:] = torch.tensor([[2.5], [1.0]])
    step = pushed(env, 1.0, 0.5)
    assert step.ended.tolist() == [0]
    assert step.metrics["x"].tolist() == [3.5, 1.5]
    assert env.state["x"].flatten().tolist() == [0.0, 1.5]


def test_metrics_are_measured_when_asked():
    assert pushed(beads(1), 0.0).metrics == {}


def test_progress_reaches_the_reward():
    seen = []

    class Watching(Bead):
        def reward(self, step: Transition):
            seen.append(step.progress)
            return super().reward(step)

    env = beads(1, Watching())
    pushed(env, 0.0)
    env.progress = 0.25
    pushed(env, 0.0)
    assert seen == [1.0, 0.25]
