"""Gymnasium's tasks are driven as they are meant to be, and the learner of ours learns in them."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def gym_worlds() -> Any:
    sys.path.insert(0, BENCHMARKS)
    yield importlib.import_module("peers.gym_worlds")
    sys.path.remove(BENCHMARKS)


def until_it_ends(worlds: Any, action: list[float]) -> tuple[int, Any]:
    for number in range(1, 2000):
        step = worlds.step(torch.tensor([action]))
        if len(step.ended):
            return number, step
    pytest.fail("it never ends")


def test_a_fall_is_an_end_and_the_next_episode_begins_at_once(gym_worlds: Any):
    worlds = gym_worlds.GymWorlds("Hopper-v5", 3)
    begun = worlds.reset()["actor"]
    number, step = until_it_ends(worlds, [1.0, 1.0, 1.0])
    assert (bool(step.terminated), bool(step.truncated), step.episode_length.tolist()) == (True, False, [number])
    assert not torch.equal(step.final["actor"], step.observations["actor"])
    assert step.observations["actor"].abs().max() < 1.3
    assert begun.shape == step.observations["actor"].shape == (1, 11)
    again, other = until_it_ends(worlds, [1.0, 1.0, 1.0])
    assert other.episode_length.tolist() == [again]
    worlds.close()


def test_out_of_time_is_a_cut_and_rewards_add_up(gym_worlds: Any):
    worlds = gym_worlds.GymWorlds("Pendulum-v1", 3)
    worlds.reset()
    earned = [worlds.step(torch.zeros(1, 1)) for _ in range(200)]
    step = earned[-1]
    assert (bool(step.terminated), bool(step.truncated)) == (False, True)
    assert float(step.episode_terms["reward"]) == pytest.approx(sum(float(each.reward) for each in earned), rel=1e-5)


def test_actions_go_to_the_ends_of_what_it_takes(gym_worlds: Any):
    """The pendulum's torque goes to 2 N·m: a cost of 0.001 times its square beside that of angle and speed."""
    costs = []
    for action in (0.0, 1.0, 5.0):
        worlds = gym_worlds.GymWorlds("Pendulum-v1", 3)
        worlds.reset()
        costs.append(-float(worlds.step(torch.full((1, 1), action)).reward))
    assert costs[1] - costs[0] == pytest.approx(0.004, abs=1e-5)
    assert costs[2] == costs[1]


def test_a_held_action_is_done_so_many_times_or_to_the_episodes_end(gym_worlds: Any):
    each, held = gym_worlds.GymWorlds("Pendulum-v1", 3), gym_worlds.GymWorlds("Pendulum-v1", 3, hold=16)
    each.reset()
    held.reset()
    for number in range(13):
        action = torch.tensor([[0.5 if number % 2 else -1.0]])
        steps = [each.step(action) for _ in range(16 if number < 12 else 8)]
        step = held.step(action)
        assert float(step.reward) == pytest.approx(sum(float(one.reward) for one in steps), rel=1e-5)
        torch.testing.assert_close(step.final["actor"], steps[-1].final["actor"])
    assert (bool(step.truncated), step.episode_length.tolist()) == (True, [200])


def test_both_learners_race_and_a_lower_return_is_told(gym_worlds: Any):
    pytest.importorskip("stable_baselines3", reason="not installed; `make bench-sac` does that")
    sac = importlib.import_module("sac")
    options = sac.Options(seeds=(1, 2), steps=40, warm_up=20, hidden=(8,), turns=2, episodes=1)
    races = [sac.race("Pendulum-v1", seed, options) for seed in options.seeds]
    assert [sac.Race.of(json.loads(json.dumps(asdict(race)))) for race in races] == races, "what is kept is the same"
    assert all(len(r.ours.seconds) == len(r.theirs.seconds) == 2 for r in races)
    found = {row.metric.split(": ")[1]: row for row in sac.rows("Pendulum-v1", races)}
    assert found["steps/s with learning, ratio"].value > 0
    for race, ours, theirs in zip(races, (10.0, 12.0), (30.0, 32.0), strict=True):
        race.ours.returns, race.theirs.returns = [ours], [theirs]
    lower = {row.metric.split(": ")[1]: row for row in sac.rows("Pendulum-v1", races)}
    assert lower["return at the end, mean less the peer's"].value == -20.0
    assert lower["return at the end, mean less the peer's"].must == f">= {-1.96 * 2**0.5:.4g}"
