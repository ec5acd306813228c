"""Experience: what is stored is what happened, and what it was worth is worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isthmus_policies.algorithms.episodes import EpisodeStatistics
from isthmus_policies.algorithms.rollout import Collector, Rollout, advantages, values
from isthmus_policies.networks.actor_critic import ActorCritic, ActorCriticConfig
from isthmus_policies.networks.gru import GruConfig, GruPolicy
from isthmus_policies.networks.normalizer import moments
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.hover import HoverConfig


def column(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers).reshape(-1, 1)


# Advantages
# ---------------------------------------------------------------------------------------------------------------------
def test_advantages_by_hand():
    """γ = 0.5, λ = 0.5, so a quarter is carried. No end:
    δ = (1 + 0.5·4 - 2, 2 + 0.5·6 - 4, 3 + 0.5·8 - 6) = (1, 1, 1);  A = (1 + 0.25·1.25, 1 + 0.25·1, 1)."""
    never = torch.zeros(3, 1, dtype=torch.bool)
    found = advantages(column(1, 2, 3), column(2, 4, 6), column(4, 6, 8), never, never, 0.5, 0.5)
    torch.testing.assert_close(found, column(1.3125, 1.25, 1.0))


def test_a_failure_has_no_future():
    """Failed at step 1: δ₁ = 2 - 4 = -2 whatever follows; step 0 sees it, step 2 begins anew."""
    failed = torch.tensor([[False], [True], [False]])
    found = advantages(column(1, 2, 3), column(2, 4, 6), column(4, 1e6, 8), failed, failed, 0.5, 0.5)
    torch.testing.assert_close(found, column(1 - 0.25 * 2, -2.0, 1.0))


def test_a_time_out_has_the_future_of_its_true_last_state():
    """Out of time at step 1 with V(s₂) = 10 there: δ₁ = 2 + 0.5·10 - 4 = 3. With V(s₁) = 4 it would be 0, with the
    next episode's first state 1; and the next episode's advantage does not leak into this one."""
    late, never = torch.tensor([[False], [True], [False]]), torch.zeros(3, 1, dtype=torch.bool)
    found = advantages(column(1, 2, 3), column(2, 4, 6), column(4, 10, 8), never, late, 0.5, 0.5)
    torch.testing.assert_close(found, column(1 + 0.25 * 3, 3.0, 1.0))


@given(st.integers(0, 2**31), st.floats(0.5, 1), st.floats(0, 1))
def test_lambda_one_is_the_discounted_return_and_zero_the_temporal_difference(seed: int, gamma: float, lam: float):
    """And any λ is the sum that defines it, over every episode by itself."""
    generator = torch.Generator().manual_seed(seed)
    steps, worlds = 9, 3
    reward, value, next_value = (torch.randn(steps, worlds, generator=generator).double() for _ in range(3))
    done = torch.rand(steps, worlds, generator=generator) < 0.3
    terminated = done & (torch.rand(steps, worlds, generator=generator) < 0.5)
    found = advantages(reward, value, next_value, terminated, done, gamma, lam)
    delta = reward + gamma * next_value * (~terminated) - value
    for world in range(worlds):
        for t in range(steps):
            expected, factor = 0.0, 1.0
            for k in range(t, steps):
                expected += factor * float(delta[k, world])
                factor *= gamma * lam
                if done[k, world]:
                    break
            assert float(found[t, world]) == pytest.approx(expected, abs=1e-9)


# Collecting
# ---------------------------------------------------------------------------------------------------------------------
class FirstEntry(ActorCritic):
    """Values a state by the first number of the critic's observation: x, where it is."""

    def value(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        return observations["critic"][:, 0]


def collector(
    num_steps: int = 24, worlds: int = 16, random_age: bool = True, kind: str = "plain", **config: object
) -> tuple[Collector, ActorCritic]:
    task = make_task("quadrotor", HoverConfig(**config))  # pyright: ignore[reportArgumentType]
    env = Env(task, make_engine(task.scene, worlds, "analytic"), seed=0, random_initial_age=random_age)
    torch.manual_seed(0)
    if kind == "gru":
        policy = GruPolicy(task.groups, task.action_size, GruConfig(actor=(8,), critic=(8,), units=8))
    else:
        policy = FirstEntry(task.groups, task.action_size, ActorCriticConfig(actor=(8,), critic=(8,)))
    return Collector(env, policy, num_steps, torch.Generator().manual_seed(1)), policy


def copy(rollout: Rollout) -> Rollout:
    """A roll-out that the next one does not overwrite."""
    buffers = {name: value.clone() for name, value in rollout.observations.items()}
    tensors = {k: v.clone() for k, v in vars(rollout).items() if isinstance(v, torch.Tensor)}
    return replace(rollout, observations=buffers, **tensors)


def test_time_outs_bootstrap_with_the_state_in_which_time_ran_out():
    """V(s_{t+1}) there is the value of the true last observation: not of s_t, not of the next episode's start."""
    runs, policy = collector(num_steps=40, worlds=8, random_age=False, episode_steps=7)
    finals: dict[tuple[int, int], float] = {}
    step, env, clock = runs.env.step, runs.env, iter(range(1000))

    def watched(action: torch.Tensor):
        result, t = step(action), next(clock)
        for row, world in enumerate(result.ended.tolist()):
            if result.truncated[world]:
                finals[t, world] = float(result.final["critic"][row, 0])
        return result

    env.step = watched  # pyright: ignore[reportAttributeAccessIssue]
    rollout, _ = runs.collect()
    now, next_value = values(policy, rollout)
    critic, critic_last = rollout.observations["critic"], rollout.last["critic"]
    assert len(finals) > 20
    for t in range(40):
        for world in range(8):
            if (t, world) in finals:
                assert float(next_value[t, world]) == finals[t, world]
                assert finals[t, world] != float(now[t, world])
                assert t == 39 or finals[t, world] != float(now[t + 1, world])
            elif not rollout.done[t, world]:
                expected = critic_last[world, 0] if t == 39 else critic[t + 1, world, 0]
                assert float(next_value[t, world]) == float(expected)


@pytest.mark.parametrize("kind", ["plain", "gru"])
def test_log_probabilities_are_those_of_the_policy_that_acted(kind: str):
    """Normalisers are constant within a roll-out: the stored means are what the policy says of the stored
    observations, at every step and across the ends of episodes."""
    runs, policy = collector(kind=kind, episode_steps=9)
    for _ in range(3):
        rollout, _ = runs.collect()
        assert rollout.done.any()
        with torch.no_grad():
            again = policy.mean(policy.actor_encoder(rollout.observations), rollout.memory, rollout.done)
        torch.testing.assert_close(again, rollout.mean, rtol=0, atol=1e-6)
        for name, normalizer in policy.normalizers():
            mean, variance = moments(rollout.observations[name].flatten(0, 1))
            normalizer.merge(mean, variance, 24 * 16)


def test_the_memory_begins_where_the_last_roll_out_ended_and_anew_with_an_episode():
    runs, policy = collector(kind="gru", random_age=False, num_steps=5, episode_steps=9)
    first, _ = runs.collect()
    assert not first.memory["hidden"].any()
    carried = runs.memory["hidden"].clone()
    assert carried.all()
    first = copy(first)
    second, _ = runs.collect()
    assert torch.equal(second.memory["hidden"], carried)
    alive = ~(first.done.any(0) | second.done[:3].any(0))
    assert alive.any(), "some fly until their time is out, after 9 steps"
    assert second.done[3, alive].all()
    with torch.no_grad():
        fresh = policy.act({"actor": second.observations["actor"][4]}, policy.initial_memory(16), {})[0]
    torch.testing.assert_close(second.mean[4, alive], fresh[alive], rtol=0, atol=1e-6)


def test_actions_scatter_around_the_mean_with_the_policys_deviation():
    runs, policy = collector(num_steps=64, worlds=64)
    with torch.no_grad():
        policy.log_std.copy_(torch.tensor([0.05, 0.1, 0.2, 0.4]).log())
    rollout, _ = runs.collect()
    noise = rollout.action - rollout.mean
    torch.testing.assert_close(noise.flatten(0, 1).std(0), torch.tensor([0.05, 0.1, 0.2, 0.4]), rtol=0.1, atol=0)
    assert float(noise.flatten(0, 1).mean(0).abs().max()) < 4 * 0.4 / 64


def test_what_is_stored_is_what_the_environment_gave():
    """Held to a second environment driven by the stored actions."""
    runs, _ = collector()
    task = runs.env.task
    first = Env(task, make_engine(task.scene, 16, "analytic"), seed=0, random_initial_age=True)
    observations = first.reset()
    for _ in range(2):
        rollout = copy(runs.collect()[0])
        for t in range(24):
            assert torch.equal(rollout.observations["actor"][t], observations["actor"])
            assert torch.equal(rollout.observations["critic"][t], observations["critic"])
            step = first.step(rollout.action[t])
            observations = step.observations
            assert torch.equal(rollout.reward[t], step.reward)
            assert torch.equal(rollout.terminated[t], step.terminated)
            assert torch.equal(rollout.done[t], step.terminated | step.truncated)
        assert torch.equal(rollout.last["critic"], observations["critic"])


def test_statistics_are_means_per_episode():
    runs, _ = collector(num_steps=60, worlds=8, random_age=False, episode_steps=20)
    totals, lengths = [], []
    step = runs.env.step

    def watched(action: torch.Tensor):
        result = step(action)
        totals.extend(torch.stack(list(result.episode_terms.values())).sum(0).tolist())
        lengths.extend(result.episode_length.tolist())
        return result

    runs.env.step = watched  # pyright: ignore[reportAttributeAccessIssue]
    statistics = runs.collect()[1]
    summary = statistics.summary()
    assert statistics.steps == 60 * 8
    assert summary["episode/return"] == pytest.approx(sum(totals) / len(totals), rel=1e-4)
    assert summary["episode/length"] == pytest.approx(sum(lengths) / len(lengths))
    assert summary["episode/succeeded"] == 0.0
    assert summary["episode/timed_out"] == pytest.approx(lengths.count(20) / len(lengths), abs=0.15)
    assert sum(v for k, v in summary.items() if k.startswith("reward/")) == pytest.approx(summary["episode/return"])
    assert EpisodeStatistics().summary() == {}
