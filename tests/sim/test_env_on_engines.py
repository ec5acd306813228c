"""The environment on the real engines: what ends is seen as it ended, what diverges is alone, what is saved goes on."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mujoco
import pytest
import torch
from torch import Tensor

from isthmus_sim.engine import Resets
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env, Step
from isthmus_sim.robots import ROBOTS
from isthmus_sim.scenes.terrain import TerrainConfig
from isthmus_sim.tasks.hover import Hover, HoverConfig, randomized
from isthmus_sim.tasks.velocity import VelocityTracking
from isthmus_sim.tasks.velocity_config import VelocityConfig

CALM = HoverConfig(noise={}, force_share=0.0, torque_share=0.0)
"""The specification without noise and disturbance."""
STILL = replace(CALM, start_position=0.0, start_angle=0.0, start_velocity=0.0, start_rate=0.0)
SMALL = TerrainConfig(levels=2, tile=4.0, border=2.0)

engines = pytest.mark.parametrize("engine", ["analytic", "mujoco"])
grounds = pytest.mark.parametrize("terrain", [None, SMALL], ids=["flat", "rough"])


def hovering(config: HoverConfig, engine: str, n: int, seed: int = 0, **options: Any) -> Env:
    task = Hover(ROBOTS["crazyflie"], config)
    return Env(task, make_engine(task.scene, n, engine), seed, **options)


def walking(config: VelocityConfig, n: int = 6, **options: Any) -> Env:
    task = VelocityTracking(ROBOTS["quadruped"], config)
    return Env(task, make_engine(task.scene, n, "mujoco"), 0, **options)


def actions(steps: int, n: int, size: int = 4, seed: int = 1) -> Tensor:
    return 2 * torch.rand(steps, n, size, generator=torch.Generator().manual_seed(seed)) - 1


def run(env: Env, rows: Tensor) -> list[Step]:
    return [env.step(row) for row in rows]


def flat(steps: list[Step]) -> Tensor:
    """Everything that a learner is given."""
    return torch.cat(
        [torch.cat([s.observations["actor"], s.observations["critic"], s.reward[:, None]], -1) for s in steps]
    )


def saved(env: Env) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in env.state_dict().items()}


@engines
def test_the_last_observation_is_the_one_before_the_reset(engine: str):
    """Held to an engine rolled out by hand from the same state: it goes on where the environment starts anew."""
    env, by_hand, ends = hovering(CALM, engine, 16), hovering(CALM, engine, 16).engine, 0
    env.reset()
    for t, action in enumerate(actions(120, 16)):
        by_hand.load_state_dict({k: v.clone() for k, v in env.engine.state_dict().items()})
        step = env.step(action)
        true = {k: v[step.ended] for k, v in by_hand.advance(step.commands).items()}
        critic = step.final["critic"]
        assert torch.equal(critic[:, :3], true["position"]), t
        assert torch.equal(critic[:, 12:15], true["linear_velocity"])
        torch.testing.assert_close(step.final["actor"][:, :3], true["position"].clamp(-0.6, 0.6))
        assert torch.equal(step.final["actor"][:, -4:], action[step.ended]), "its memory ends with the last action"
        started = step.observations["critic"][step.ended]
        assert torch.equal(started[:, :3], env.state["position"][step.ended])
        assert torch.equal(step.observations["actor"][step.ended, 18:], torch.zeros(len(step.ended), 128))
        ends += len(step.ended)
    assert ends > 20


# Divergence
# ---------------------------------------------------------------------------------------------------------------------
def check_divergence(broken: Env, sound: Env, rows: Tensor, spoil: Any) -> None:
    """World 4 of 6 diverges in the fifth step of `broken`; the others' trajectories are those of `sound`, in which
    nothing diverges, bit for bit. `spoil(action)` breaks it before that step."""
    trajectories = []
    for env in (sound, broken):
        env.reset()
        steps = run(env, rows[:4])
        action = rows[4].clone()
        if env is broken:
            spoil(action)
        steps += [env.step(action), *run(env, rows[5:])]
        trajectories.append(torch.stack([s.observations["critic"] for s in steps]))
        assert torch.isfinite(flat(steps)).all(), "what is not a number reaches no observation"
    assert (steps[4].terminated.tolist(), steps[4].ended.tolist()) == ([False] * 4 + [True, False], [4])
    assert steps[4].reward[4] == 0
    assert [s.diverged for s in steps] == [0] * 4 + [1] + [0] * 7
    assert all(torch.isfinite(value).all() for value in env.engine.state_dict().values())
    others = torch.tensor([0, 1, 2, 3, 5])
    return torch.testing.assert_close(trajectories[0][:, others], trajectories[1][:, others], rtol=0, atol=0)


@engines
@pytest.mark.parametrize("where", ["position", "command"])
def test_a_diverged_quadrotor_is_reset_counted_and_alone(engine: str, where: str):
    config = replace(STILL, force_share=0.05)
    broken, sound = (hovering(config, engine, 6) for _ in range(2))

    def spoil(action: Tensor) -> None:
        if where == "command":
            action[4] = torch.nan
            return
        start = {name: value[4:5].clone() for name, value in broken.state.items()}
        start["position"][0, 0] = torch.nan
        broken.engine.advance(None, Resets(ids=torch.tensor([4]), state=start))

    check_divergence(broken, sound, 0.2 * actions(12, 6), spoil)


@grounds
@pytest.mark.parametrize("where", ["position", "joint", "command"])
def test_a_diverged_quadruped_is_reset_counted_and_alone(terrain: TerrainConfig | None, where: str):
    """On rough ground too, where what is nowhere has no ground below it."""
    config = VelocityConfig(noise={}, push_s=0.0, terrain=terrain, command_delay_steps=(0, 0))
    broken, sound = walking(config), walking(config)

    def spoil(action: Tensor) -> None:
        if where == "position":
            broken.engine.qpos[4, 0] = torch.nan
        if where == "joint":
            broken.engine.qvel[4, 9] = -1e9
        if where == "command":
            action[4, 7] = torch.nan

    check_divergence(broken, sound, 0.2 * actions(12, 6, 12), spoil)


@engines
def test_a_diverged_step_can_be_done_again(engine: str):
    """From the recorded state and command, by another engine: it diverges there too."""
    env = hovering(randomized(), engine, 5, keep_divergences=True)
    env.reset()
    assert all(step.divergence is None for step in run(env, 0.1 * actions(7, 5)))
    command = {"rotor_speed": torch.full((5, 4), 1000.0)}
    command["rotor_speed"][3] = torch.nan
    while (divergence := env.step_commands(command).divergence) is None:
        command = {"rotor_speed": command["rotor_speed"].clone()}  # it may be on its way for a step
    assert divergence.worlds.tolist() == [3]
    assert divergence.episode_step.tolist() == [int(env.episode_step[0]) - 1]
    other = hovering(randomized(), engine, 1).engine
    other.load_state_dict(divergence.engine)
    assert torch.isfinite(other.advance(None)["position"]).all(), "the state before it was a state"
    other.advance({"rotor_speed": torch.full((1, 4), 1000.0)})
    assert not other.failed().any()
    other.load_state_dict(divergence.engine)
    other.advance(divergence.commands)
    assert other.failed().all()


# Seeds and saved states
# ---------------------------------------------------------------------------------------------------------------------
configs = pytest.mark.parametrize("config", [HoverConfig(), randomized()], ids=["plain", "randomized"])


@engines
@configs
def test_the_same_seed_is_the_same_trajectory(engine: str, config: HoverConfig):
    def trajectory(seed: int) -> Tensor:
        env = hovering(config, engine, 8, seed)
        env.reset()
        return flat(run(env, actions(80, 8)))

    first = trajectory(seed=3)
    torch.rand(7)  # nothing reads torch's own generator
    assert torch.equal(first, trajectory(seed=3))
    assert not torch.equal(first, trajectory(seed=4))


@engines
@configs
def test_a_saved_environment_goes_on_bit_for_bit(engine: str, config: HoverConfig):
    """Random state, delays, memory, ages and sums included, across resets."""
    first = hovering(config, engine, 8, random_initial_age=True)
    second = hovering(config, engine, 8, seed=9)
    first.reset()
    second.reset()
    run(first, actions(40, 8))
    run(second, actions(7, 8))
    second_start = saved(first)
    going_on = run(first, actions(80, 8, seed=2))
    second.load_state_dict(second_start)
    again = run(second, actions(80, 8, seed=2))
    assert torch.equal(flat(going_on), flat(again))
    assert sum(len(step.ended) for step in going_on) > 5
    for a, b in zip(going_on, again, strict=True):
        assert all(torch.equal(a.episode_terms[name], b.episode_terms[name]) for name in a.episode_terms)
        assert torch.equal(a.episode_length, b.episode_length)


@grounds
def test_a_saved_environment_of_quadrupeds_goes_on_bit_for_bit(terrain: TerrainConfig | None):
    """Levels, clocks, commands, biases and pushes included, across resets."""
    config = VelocityConfig(terrain=terrain, push_s=0.5, command_s=0.3, episode_steps=25)
    first, second = walking(config), walking(config)
    rows = actions(90, 6, 12)
    first.reset()
    second.reset()
    run(first, 0.5 * rows[:40])
    run(second, 0.5 * rows[:7])
    state = saved(first)
    going_on = run(first, 0.5 * rows[40:])
    second.load_state_dict(state)
    again = run(second, 0.5 * rows[40:])
    assert torch.equal(flat(going_on), flat(again))
    assert torch.equal(first.level, second.level)
    assert sum(len(step.ended) for step in going_on) >= 12


def test_progress_is_the_rewards_curriculum():
    """The environment's progress, set by training, makes errors dearer."""
    rewards = []
    for progress in (0.0, 1.0):
        env = hovering(HoverConfig(), "analytic", 4)
        env.progress = progress
        env.reset()
        rewards.append(env.step(torch.full((4, 4), 0.334)).reward)
    assert (rewards[1] < rewards[0]).all()


def test_forces_below_the_feet_of_a_new_episode_are_its_own():
    """Those that MuJoCo finds for its start by itself, whatever any world did before."""
    env = walking(VelocityConfig(push_s=0.0, episode_steps=10))
    env.reset()
    touched = 0
    for row in actions(40, 6, 12):
        for world in env.step(row).ended.tolist():
            model = env.engine.batch.get_model(world)
            data = mujoco.MjData(model)
            data.qpos[:], data.qvel[:] = env.engine.qpos[world], env.engine.qvel[world]
            mujoco.mj_forward(model, data)
            expected = [data.sensor(f"contact_force:{foot}").data[0] for foot in env.task.robot.feet]
            assert env.state["foot_force"][world].tolist() == pytest.approx(expected, abs=1e-3)
            touched += max(expected) > 0
    assert touched > 5
