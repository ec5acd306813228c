"""Walking as told: where episodes begin, on flat and rough ground, when they have failed, and how hard the next is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from isthmus_sim.engine import State
from isthmus_sim.env import Env
from isthmus_sim.robots.quadruped.description import ROBOT, STAND_HEIGHT
from isthmus_sim.rotations import tilt
from isthmus_sim.scenes.terrain import KINDS, TerrainConfig
from isthmus_sim.tasks.velocity import VelocityTracking
from isthmus_sim.tasks.velocity_config import VelocityConfig, rough

Walking = Callable[..., Env]
Standing = Callable[..., State]
SMALL = TerrainConfig(levels=3, tile=6.0, border=2.0)
ROUGH = replace(rough(), terrain=SMALL)
both = pytest.mark.parametrize("config", [VelocityConfig(), ROUGH], ids=["flat", "rough"])


def actions(steps: int, n: int, size: float = 0.3) -> torch.Tensor:
    return size * torch.randn(steps, n, 12, generator=torch.Generator().manual_seed(1))


@both
def test_what_is_observed_are_numbers(walking: Walking, config: VelocityConfig):
    """The groups have the declared shapes, which the environment checks."""
    env = walking(config, 6)
    env.reset()
    for row in actions(3, 6):
        assert all(torch.isfinite(value).all() for value in env.step(row).observations.values())
    assert {name: value.shape[1:] for name, value in env.memory.items()} == {m.name: m.shape for m in env.task.memory}


@both
def test_episodes_start_standing_and_drawn_within_their_ranges(walking: Walking, config: VelocityConfig):
    n, env = 60, walking(config, 60)
    env.level[:] = torch.arange(n) % env.task.levels
    env.reset()
    state, params, terrain = env.state, env.engine.params, env.task.scene.terrain
    assert float(tilt(state["orientation"]).max()) < 1e-3
    assert not env.task.terminated(state, env.goal).any()
    ground = terrain.height(state["position"][:, :2]) if terrain else 0.0
    torch.testing.assert_close(state["position"][:, 2] - ground, torch.full((n,), STAND_HEIGHT), rtol=0, atol=1e-4)
    for name, bounds in (("friction", config.friction), ("payload", config.payload), ("strength", config.strength)):
        low, high = bounds
        assert low <= float(params[name].min()) < float(params[name].max()) <= high
        assert float(params[name].max() - params[name].min()) > 0.7 * (high - low)
    stiffness = params["stiffness"] / torch.tensor([joint.stiffness for joint in ROBOT.joints.values()])
    assert config.gains[0] <= float(stiffness.min()) < float(stiffness.max()) <= config.gains[1]
    assert float(params["command_delay_s"].max()) <= config.actuation_delay_s[1]
    assert float(params["com_offset"].abs().max()) <= config.com_offset
    heading = 2 * torch.atan2(state["orientation"][:, 3], state["orientation"][:, 0])
    assert float(heading.cos().min()) < -0.9
    assert float(heading.cos().max()) > 0.9


@both
def test_the_critic_sees_the_truth_from_the_first_instant(walking: Walking, config: VelocityConfig):
    """Where the feet are, too, which only the engine works out from a start state."""
    env = walking(replace(config, episode_steps=10), 6, random_initial_age=True)
    seen = env.reset()["critic"]
    for row in actions(15, 6):
        true = env.task.privileged(env.state, env.goal, env.engine, None)["critic"]
        torch.testing.assert_close(seen, true)
        seen = env.step(row).observations["critic"]


def test_worlds_start_on_the_tile_of_their_level_and_kind(walking: Walking):
    n, env = 30, walking(ROUGH, 30)
    terrain = env.task.scene.terrain
    assert terrain is not None
    env.level[:] = torch.arange(n) // 5 % 3
    env.reset()
    origin = terrain.origin(torch.arange(n) // 5 % 3, torch.arange(n) % len(KINDS))
    assert float((env.state["position"] - origin)[:, :2].abs().max()) < 0.5


def test_an_episode_ends_when_the_robot_lies_or_leans_or_is_nowhere(standing: Standing):
    task = VelocityTracking(
        ROBOT, VelocityConfig(lowest=0.15 / ROBOT.stances["stand"].height, tilt_limit=math.radians(45))
    )
    state = standing(5)
    state["position"][1, 2] = 0.14
    for world, angle in ((2, 44), (3, 46)):
        half = math.radians(angle) / 2
        state["orientation"][world] = torch.tensor([math.cos(half), math.sin(half), 0.0, 0.0])
    state["position"][4, 0] = state["position"][4, 2] = math.nan
    assert task.terminated(state, {}).tolist() == [False, True, False, True, True]


def test_a_world_that_is_nowhere_ends_on_rough_ground_too(standing: Standing):
    state = standing(2, 5.0)
    state["position"][1] = math.nan
    assert VelocityTracking(ROBOT, ROUGH).terminated(state, {}).tolist() == [False, True]


def test_levels_rise_with_the_way_walked_and_fall_with_the_robot(standing: Standing):
    """A third of the way to the next tile and standing is neither; the second and third came nowhere, as the third
    was told; the fourth went far, but fell."""
    task = VelocityTracking(ROBOT, ROUGH)
    assert task.terrain is not None
    ids, level = torch.arange(7), torch.tensor([1, 1, 1, 1, 2, 0, 1])
    state = standing(7)
    away = torch.tensor([2.9, 0.1, 0.1, 2.9, 2.9, 0.1, 1.8])
    state["position"] = task.terrain.origin(level, ids % len(KINDS)) + away.unsqueeze(-1) * torch.tensor([1.0, 0, 0])
    failed = torch.tensor([False, False, False, True, False, False, False])
    command = torch.tensor([[1.0, 0.0]]).repeat(7, 1)
    command[2] = 0.0
    found = task.next_level(level, failed, state, {"linear_velocity_command": command}, ids)
    assert found.tolist() == [2, 0, 1, 0, 2, 0, 1]


def test_levels_of_a_run_move_one_at_a_time_and_stay_in_range(walking: Walking):
    env = walking(replace(ROUGH, episode_steps=30), 15)
    terrain = env.task.scene.terrain
    assert terrain is not None
    env.level[:] = torch.arange(15) % 3
    env.reset()
    before, moved = env.level.clone(), 0
    for row in actions(120, 15, size=1.0):
        step = env.step(row)
        change = env.level - before
        assert (change.abs() <= 1).all()
        assert set(change.nonzero().flatten().tolist()) <= set(step.ended.tolist())
        if len(step.ended):
            origin = terrain.origin(env.level[step.ended], step.ended % len(KINDS))
            assert float((env.state["position"][step.ended] - origin)[:, :2].abs().max()) < 0.5
        moved += int((change != 0).sum())
        before = env.level.clone()
    assert moved > 10
    assert 0 <= int(env.level.min()) <= int(env.level.max()) < 3


def test_a_push_ends_with_its_episode(walking: Walking):
    env = walking(VelocityConfig(push_s=0.4, push_length_s=0.1, episode_steps=22), 3)
    env.reset()
    for _ in range(21):
        env.step(torch.zeros(3, 12))
    assert (env.engine.force != 0).any(-1).all()
    assert env.step(torch.zeros(3, 12)).ended.tolist() == [0, 1, 2]
    assert (env.engine.force == 0).all()
    env.step(torch.zeros(3, 12))
    assert (env.engine.force == 0).all()


def test_without_pushes_nothing_pushes():
    assert VelocityTracking(ROBOT, VelocityConfig(push_s=0.0)).events == ()
