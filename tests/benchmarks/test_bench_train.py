"""The peer learner sees the same worlds as ours, and the clock is read as promised."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.networks.actor_critic import ActorCriticConfig
from isthmus_policies.training.config import default_config
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.tasks import make_task

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
CONFIG = dataclasses.replace(
    default_config("quadrotor"),
    num_envs=16,
    iterations=2,
    algorithm=PPOConfig(num_steps=8, epochs=2, minibatches=4),
    policy=ActorCriticConfig(actor=(16, 16), critic=(16,)),
)


@pytest.fixture(scope="module")
def peer() -> Any:
    """The adapter, where rsl_rl is installed."""
    pytest.importorskip("rsl_rl", reason="rsl-rl-lib is not installed; `make bench-train` does that")
    sys.path.insert(0, BENCHMARKS)
    yield importlib.import_module("peers.rsl_rl_ppo")
    sys.path.remove(BENCHMARKS)


@pytest.fixture(scope="module")
def bench(peer: Any) -> Any:
    """benchmarks/train.py."""
    return importlib.import_module("train")


def env(episode_steps: int | None = None) -> Env:
    task = make_task("quadrotor")
    engine = make_engine(task.scene, 16, task.engines[0])
    return Env(task, engine, seed=3, random_initial_age=True, episode_steps=episode_steps)


def test_the_peer_sees_what_the_env_gives(peer: Any):
    plain, adapter = env(30), peer.RslRlEnv(env(30), reward_scale=0.5)
    expected = plain.reset()
    generator = torch.Generator().manual_seed(0)
    timed_out = failed = 0
    for _ in range(60):
        observations = adapter.get_observations()
        assert observations.batch_size == (16,)
        torch.testing.assert_close(observations["policy"], expected["actor"], rtol=0, atol=0)
        torch.testing.assert_close(observations["critic"], expected["critic"], rtol=0, atol=0)

        action = 2 * torch.rand(16, 4, generator=generator) - 1
        step, kept = plain.step(action), observations.clone()
        following, reward, done, extras = adapter.step(action)
        assert (observations == kept).all(), "a stored observation changed under the learner's hands"
        torch.testing.assert_close(reward, 0.5 * step.reward, rtol=0, atol=0)
        assert torch.equal(done, (step.terminated | step.truncated).long())
        assert torch.equal(extras["time_outs"], step.truncated)
        assert torch.equal(following["policy"], adapter.get_observations()["policy"])
        assert torch.equal(adapter.episode_length_buf, plain.episode_step)
        expected = step.observations
        timed_out += int(step.truncated.sum())
        failed += int(step.terminated.sum())
    assert timed_out > 0
    assert failed > 0


def test_two_iterations_of_the_peer_change_its_policy(peer: Any):
    learner, again = peer.RslRl(CONFIG), peer.RslRl(CONFIG)
    rows = torch.randn(5, make_task("quadrotor").groups["actor"].size)
    before = learner.act(rows)
    assert before.shape == (5, 4)
    threads = torch.get_num_threads()
    for progress in (0.0, 0.1):
        learner.iterate(progress)
    assert learner.env.progress == 0.1
    assert not torch.equal(before, learner.act(rows))
    assert torch.get_num_threads() == threads
    assert torch.equal(before, again.act(rows)), "the same seed starts from the same policy"


def test_the_peer_is_given_our_batch_and_networks(peer: Any):
    told = peer.configuration(dataclasses.replace(CONFIG, algorithm=PPOConfig(num_steps=8, gamma=0.9, minibatches=2)))
    assert (told["num_steps_per_env"], told["algorithm"]["gamma"], told["algorithm"]["num_mini_batches"]) == (8, 0.9, 2)
    runner = peer.RslRl(CONFIG)._runner
    sizes = [
        [tuple(p.shape) for p in model.mlp.parameters() if p.ndim == 2]
        for model in (runner.alg.actor, runner.alg.critic)
    ]
    groups = make_task("quadrotor").groups
    assert sizes == [
        [(16, groups["actor"].size), (16, 16), (4, 16)],
        [(16, groups["critic"].size), (1, 16)],
    ]


def test_the_peer_is_given_the_robots_symmetry(peer: Any):
    ppo = dataclasses.replace(CONFIG.algorithm, symmetry=True)
    quadruped = default_config("quadruped")
    learner = peer.RslRl(dataclasses.replace(CONFIG, name=quadruped.name, task=quadruped.task, algorithm=ppo))
    told = learner._runner.alg.symmetry
    assert told.use_data_augmentation
    learner.iterate(0.0)

    adapter = told.env
    once = peer.with_mirror_images(adapter, adapter.get_observations(), torch.randn(16, 12))
    twice = peer.with_mirror_images(adapter, once[0][16:], once[1][16:])
    assert not torch.equal(once[1][:16], once[1][16:])
    torch.testing.assert_close(twice[1][16:], once[1][:16])
    for group in ("policy", "critic"):
        torch.testing.assert_close(once[0][group][:16], adapter.get_observations()[group])
        torch.testing.assert_close(twice[0][group][16:], once[0][group][:16])


def test_the_time_to_a_return_is_read_between_evaluations(bench: Any):
    track = bench.Track(seconds=[0.0, 10.0, 20.0], returns=[0.0, 10.0, 30.0])
    assert track.time_to(5.0) == 5.0
    assert track.time_to(20.0) == 15.0
    assert track.time_to(31.0) == float("inf")


def test_both_must_reach_nine_tenths_of_what_the_weaker_learned(bench: Any):
    strong = bench.Track(seconds=[0.0, 10.0], returns=[0.0, 200.0])
    weak = bench.Track(seconds=[0.0, 30.0], returns=[0.0, 100.0])
    assert bench.Race(steps=1, ours=strong, theirs=weak).time_to_common_return() == pytest.approx((4.5, 27.0))
    idle = bench.Track(seconds=[0.0, 30.0], returns=[5.0, 1.0])
    assert bench.Race(steps=1, ours=strong, theirs=idle).time_to_common_return() is None
