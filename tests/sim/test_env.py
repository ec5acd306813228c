"""The environment: episodes end and start again without losing, mixing or hiding anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from isthmus_sim.engine import Engine, State
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor
from isthmus_sim.engines.mujoco_legged import MujocoLegged
from isthmus_sim.env import Env, Step
from isthmus_sim.rotations import rotation_matrix
from isthmus_sim.signals import SensorModel
from isthmus_sim.task import Transition
from isthmus_sim.tasks.quadrotor import HOVER_ACTION, Quadrotor, QuadrotorConfig, randomized
from isthmus_sim.tasks.quadruped import Quadruped, QuadrupedConfig
from isthmus_sim.terrain import TerrainConfig

MakeEngine = Callable[..., Engine]
CALM = QuadrotorConfig(sensors={}, force_share=0.0, torque_share=0.0)
"""The specification without noise and disturbance."""
STILL = replace(CALM, start_position=0.0, start_angle=0.0, start_velocity=0.0, start_rate=0.0)


def actions(steps: int, n: int, seed: int = 1) -> torch.Tensor:
    return 2 * torch.rand(steps, n, 4, generator=torch.Generator().manual_seed(seed)) - 1


def run(env: Env, rows: torch.Tensor) -> list[Step]:
    return [env.step(row) for row in rows]


def flat(steps: list[Step]) -> torch.Tensor:
    """Everything a policy is given."""
    return torch.cat(
        [torch.cat([s.observations["actor"], s.observations["critic"], s.reward[:, None]], -1) for s in steps]
    )


# Ends and starts
# ---------------------------------------------------------------------------------------------------------------------
def test_the_last_observation_is_the_one_before_the_reset(make_engine: MakeEngine):
    """Held to an engine rolled out by hand from the same state: it goes on where the environment starts anew."""
    env, by_hand = Env(Quadrotor(CALM), make_engine(16), seed=0), make_engine(16)
    env.reset()
    ends = 0
    for t, action in enumerate(actions(120, 16)):
        by_hand.load_state_dict({k: v.clone() for k, v in env.engine.state_dict().items()})
        step = env.step(action)
        by_hand.step(env.task.act(action, {}, {})["rotor_speed"])
        true = by_hand.read()[step.ended]
        critic = step.final["critic"]
        assert torch.equal(critic[:, :3], true.position), t
        assert torch.equal(critic[:, 12:15], true.linear_velocity)
        torch.testing.assert_close(step.final["actor"][:, :3], true.position.clamp(-0.6, 0.6))
        assert torch.equal(step.final["actor"][:, -4:], action[step.ended]), "its memory ends with the last action"
        started = step.observations["critic"][step.ended]
        assert torch.equal(started[:, :3], env.engine.read().position[step.ended])
        assert torch.equal(step.observations["actor"][step.ended, 18:], torch.zeros(len(step.ended), 128))
        ends += len(step.ended)
    assert ends > 20


def test_observations_given_out_do_not_change_later():
    env = Env(Quadrotor(CALM), AnalyticQuadrotor(8), seed=0)
    steps, copies = [], []
    env.reset()
    for action in actions(100, 8):
        steps.append(env.step(action))
        copies.append({name: value.clone() for name, value in steps[-1].observations.items()})
    for step, copy in zip(steps, copies, strict=True):
        assert all(torch.equal(step.observations[name], copy[name]) for name in copy)


def test_out_of_time_is_not_a_failure():
    env = Env(Quadrotor(replace(STILL, episode_steps=3)), AnalyticQuadrotor(5), seed=0)
    env.reset()
    hover = torch.full((3, 5, 4), HOVER_ACTION)
    first, second, third = run(env, hover)
    assert not (first.truncated | second.truncated | first.terminated | second.terminated).any()
    assert third.truncated.all()
    assert not third.terminated.any()
    assert third.ended.tolist() == [0, 1, 2, 3, 4]
    assert third.episode_length.tolist() == [3] * 5
    assert (third.reward != 0).all(), "the last step of a full episode is rewarded"
    assert not run(env, hover[:1])[0].truncated.any(), "the clock starts anew"


def test_a_failure_in_the_last_step_is_a_failure():
    env = Env(Quadrotor(replace(STILL, episode_steps=1)), AnalyticQuadrotor(2), seed=0)
    env.reset()
    env.engine.read().position[1, 0] = 0.7
    step = env.step(torch.zeros(2, 4))
    assert step.truncated.tolist() == [True, False]
    assert step.terminated.tolist() == [False, True]


def test_a_failure_is_not_rewarded():
    env = Env(Quadrotor(CALM), AnalyticQuadrotor(32), seed=0)
    env.reset()
    failures = [step for step in run(env, actions(100, 32)) if step.terminated.any()]
    assert len(failures) > 5
    for step in failures:
        assert (step.reward[step.terminated] == 0).all()
        assert (step.reward[~step.terminated] != 0).all()


def test_the_terms_of_an_episode_sum_to_its_return():
    env = Env(Quadrotor(CALM), AnalyticQuadrotor(16), seed=0)
    env.reset()
    returns, lengths, checked = torch.zeros(16), torch.zeros(16), 0
    for step in run(env, actions(150, 16)):
        returns += step.reward
        lengths += 1
        assert list(step.episode_terms) == list(env.task.reward_terms)
        total = torch.stack(list(step.episode_terms.values())).sum(0)
        torch.testing.assert_close(total, returns[step.ended], rtol=1e-4, atol=1e-3)
        assert torch.equal(step.episode_length.float(), lengths[step.ended])
        returns[step.ended], lengths[step.ended] = 0.0, 0.0
        checked += len(step.ended)
    assert checked > 20


def test_spread_episodes_start_at_all_ages():
    env = Env(Quadrotor(STILL), AnalyticQuadrotor(4000), seed=0, spread=True)
    env.reset()
    assert int(env.episode_step.min()) < 10
    assert 490 <= int(env.episode_step.max()) < 500
    assert float(env.episode_step.float().mean()) == pytest.approx(249.5, abs=10)


# Failure of one world
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("where", ["position", "command"])
def test_a_diverged_world_is_reset_counted_and_alone(make_engine: MakeEngine, where: str):
    """The others' trajectories are those of a run in which nothing diverged, bit for bit."""
    rows, others = 0.2 * actions(12, 6), torch.tensor([0, 1, 2, 3, 5])
    trajectories, counted = [], []
    for broken in (False, True):
        env = Env(Quadrotor(replace(STILL, force_share=0.05)), make_engine(6), seed=0)
        env.reset()
        steps = run(env, rows[:4])
        action = rows[4].clone()
        if broken and where == "command":
            action[4] = float("nan")
        if broken and where == "position":
            start = env.engine.read()[torch.tensor([4])]
            start.position[0, 0] = float("nan")
            env.engine.reset(torch.tensor([4]), start)
        steps += [env.step(action), *run(env, rows[5:])]
        trajectories.append(torch.stack([s.observations["critic"] for s in steps]))
        counted.append([s.failed for s in steps])
        if broken:
            assert steps[4].terminated.tolist() == [False] * 4 + [True, False]
            assert steps[4].ended.tolist() == [4]
            assert steps[4].reward[4] == 0
            assert torch.isfinite(flat(steps)).all(), "what is not a number reaches no observation"
    assert torch.equal(trajectories[0][:, others], trajectories[1][:, others])
    assert counted == [[0] * 12, [0] * 4 + [1] + [0] * 7]


def legged_env(make_legged: Callable[..., MujocoLegged], config: QuadrupedConfig) -> Env:
    task = Quadruped(config)
    return Env(task, make_legged(6, terrain=task.terrain), seed=0)


@pytest.mark.parametrize("where", ["position", "joint", "command"])
@pytest.mark.parametrize("ground", ["flat", "rough"])
def test_a_diverged_quadruped_is_reset_counted_and_alone(
    make_legged: Callable[..., MujocoLegged], where: str, ground: str
):
    """On rough ground too, where what is nowhere has no ground below it."""
    terrain = TerrainConfig(levels=2, tile=4.0, border=2.0) if ground == "rough" else None
    rows = 0.2 * torch.randn(12, 6, 12, generator=torch.Generator().manual_seed(0))
    others, trajectories, counted = torch.tensor([0, 1, 2, 3, 5]), [], []
    for broken in (False, True):
        env = legged_env(make_legged, QuadrupedConfig(sensors={}, push_s=0.0, terrain=terrain, command_delay=(0, 0)))
        env.reset()
        assert isinstance(env.engine, MujocoLegged)
        steps = run(env, rows[:4])
        action = rows[4].clone()
        if broken and where == "position":
            env.engine.qpos[4, 0] = float("nan")
        if broken and where == "joint":
            env.engine.qvel[4, 9] = -1e9
        if broken and where == "command":
            action[4, 7] = float("nan")
        steps += [env.step(action), *run(env, rows[5:])]
        trajectories.append(torch.stack([s.observations["critic"] for s in steps]))
        counted.append([s.failed for s in steps])
        if broken:
            assert steps[4].terminated.tolist() == [False] * 4 + [True, False]
            assert steps[4].ended.tolist() == [4]
            assert steps[4].reward[4] == 0
            assert torch.isfinite(flat(steps)).all(), "what is not a number reaches no observation"
            assert all(torch.isfinite(value).all() for value in env.engine.state_dict().values())
    assert torch.equal(trajectories[0][:5, others], trajectories[1][:5, others])
    assert counted == [[0] * 12, [0] * 4 + [1] + [0] * 7]


def test_a_diverged_step_can_be_done_again(make_engine: MakeEngine):
    """From the recorded state and command, by another engine: it diverges there too."""
    env = Env(Quadrotor(randomized()), make_engine(5), seed=0)
    env.reset()
    assert all(step.divergence is None for step in run(env, 0.1 * actions(7, 5)))
    rows = 0.1 * actions(1, 5)[0]
    env.command_line.history[:, 3] = float("nan")
    divergence = env.step(rows).divergence
    assert divergence is not None
    assert divergence.worlds.tolist() == [3]
    assert divergence.episode_step.tolist() == [7]
    other = make_engine(1)
    other.load_state_dict(divergence.engine)
    assert torch.isfinite(other.read().position).all(), "the state before it was a state"
    other.step(torch.full((1, 4), 1000.0))
    assert not other.failed().any()
    other.load_state_dict(divergence.engine)
    other.step(divergence.command)
    assert other.failed().all()


# What is observed
# ---------------------------------------------------------------------------------------------------------------------
def test_the_actor_sees_noise_and_the_critic_the_truth(make_engine: MakeEngine):
    n = 4000
    env = Env(Quadrotor(), make_engine(n), seed=0)
    env.reset()
    observations, state = env.step(torch.full((n, 4), HOVER_ACTION)).observations, env.engine.read()
    actor, critic = observations["actor"], observations["critic"]
    true = torch.cat((state.position, rotation_matrix(state.orientation), state.linear_velocity), -1)
    assert torch.equal(critic[:, :15], true)
    assert torch.equal(critic[:, 15:18], state.angular_velocity)
    torch.testing.assert_close(critic[:, 18:24], torch.cat((env.engine.force, env.engine.torque), -1))
    torch.testing.assert_close(critic[:, 24:], state.actuator / 2272.63, rtol=1e-4, atol=0)
    error = actor[:, :18] - critic[:, :18]
    torch.testing.assert_close(error[:, :3].std(0), torch.full((3,), 0.001), rtol=0.05, atol=0)
    assert float(error[:, 3:12].square().mean().sqrt()) == pytest.approx(0.001, rel=0.03)
    torch.testing.assert_close(error[:, 15:18].std(0), torch.full((3,), 0.002), rtol=0.05, atol=0)
    # The body-frame velocity's noise, 0.002, and the attitude's that turns it into the world: |v|·0.00122 aside.
    at_rest = state.linear_velocity.norm(dim=-1) < 0.5
    assert float(error[at_rest, 12:15].std()) == pytest.approx(0.002, rel=0.1)


def test_the_first_observation_is_noisy_too():
    env = Env(Quadrotor(), AnalyticQuadrotor(1000), seed=0)
    first = env.reset()
    error = first["actor"][:, :3] - first["critic"][:, :3]
    assert float(error.std()) == pytest.approx(0.001, rel=0.1)


def test_the_history_runs_from_the_oldest_to_the_newest_action():
    """Reversed in time it would have the same width and a good policy would score nothing."""
    env = Env(Quadrotor(STILL), AnalyticQuadrotor(2), seed=0)
    env.reset()
    rows = HOVER_ACTION + 0.01 * actions(40, 2)
    for t, row in enumerate(rows):
        seen = env.step(row).observations["actor"][:, 18:].unflatten(1, (32, 4))
        held = min(t + 1, 32)
        assert torch.equal(seen[:, 32 - held :], rows[t + 1 - held : t + 1].transpose(0, 1))
        assert torch.equal(seen[:, : 32 - held], torch.zeros(2, 32 - held, 4)), "nothing before the first action"


def test_actions_beyond_the_range_are_clipped_and_remembered_so():
    envs = [Env(Quadrotor(CALM), AnalyticQuadrotor(3), seed=0) for _ in range(2)]
    for env in envs:
        env.reset()
    wild = torch.tensor([[3.0, -5.0, 0.5, 1.0]]).repeat(3, 1)
    steps = [env.step(action) for env, action in zip(envs, (wild, wild.clamp(-1, 1)), strict=True)]
    assert torch.equal(flat(steps[:1]), flat(steps[1:]))


def test_a_sensors_delay_reaches_the_actor_only():
    """Position three steps late: what the actor sees now, the critic saw three steps ago."""
    late = replace(STILL, start_velocity=1.0, sensors={"position": SensorModel(delay=(3, 3))})
    env = Env(Quadrotor(late), AnalyticQuadrotor(4), seed=0)
    seen = [env.reset(), *(s.observations for s in run(env, torch.full((12, 4, 4), HOVER_ACTION)))]
    for t in range(len(seen)):
        torch.testing.assert_close(seen[t]["actor"][:, :3], seen[max(0, t - 3)]["critic"][:, :3])
    assert not torch.equal(seen[4]["actor"][:, :3], seen[4]["critic"][:, :3])


# Commands
# ---------------------------------------------------------------------------------------------------------------------
class Recorder(AnalyticQuadrotor):
    """Keeps what reached the motors."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self.commands: list[torch.Tensor] = []

    def step(self, command: torch.Tensor) -> None:
        self.commands.append(command.clone())
        super().step(command)


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_a_command_takes_effect_after_its_delay(delay: int):
    """Until the first arrives the motors hold the middle of their range, at which an episode starts."""
    env = Env(Quadrotor(replace(STILL, command_delay=(delay, delay))), Recorder(2), seed=0)
    env.reset()
    rows = HOVER_ACTION + 0.01 * actions(8, 2)
    run(env, rows)
    sent = torch.stack([torch.zeros(2, 4)] * delay + list(rows))[:8]
    assert isinstance(env.engine, Recorder)
    torch.testing.assert_close(torch.stack(env.engine.commands), env.task.act(sent, {}, {})["rotor_speed"])


def test_commands_in_their_unit_are_actions(make_engine: MakeEngine):
    """`step_command` is `step` without the memory: the way of an exported graph."""
    first, second = (Env(Quadrotor(), make_engine(4), seed=0) for _ in range(2))
    first.reset()
    second.reset()
    for action in actions(60, 4):
        a, b = first.step(action), second.step_command(second.task.act(action, {}, {})["rotor_speed"])
        assert torch.equal(a.observations["critic"], b.observations["critic"])
        assert torch.equal(a.reward, b.reward)
        assert all(torch.equal(first.signals[name], second.signals[name]) for name in first.signals)


# Seeds and saved states
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("config", [QuadrotorConfig(), randomized()], ids=["plain", "randomized"])
def test_the_same_seed_is_the_same_trajectory(make_engine: MakeEngine, config: QuadrotorConfig):
    def trajectory(seed: int) -> torch.Tensor:
        env = Env(Quadrotor(config), make_engine(8), seed)
        env.reset()
        return flat(run(env, actions(80, 8)))

    first = trajectory(seed=3)
    torch.rand(7)  # nothing reads torch's own generator
    assert torch.equal(first, trajectory(seed=3))
    assert not torch.equal(first, trajectory(seed=4))


@pytest.mark.parametrize("config", [QuadrotorConfig(), randomized()], ids=["plain", "randomized"])
def test_a_saved_environment_goes_on_bit_for_bit(make_engine: MakeEngine, config: QuadrotorConfig):
    """Random state, delays, memory, ages and sums included, across resets."""
    first, second = Env(Quadrotor(config), make_engine(8), 0, spread=True), Env(Quadrotor(config), make_engine(8), 9)
    first.reset()
    second.reset()
    run(first, actions(40, 8))
    run(second, actions(7, 8))
    saved = {name: value.clone() for name, value in first.state_dict().items()}
    going_on = run(first, actions(80, 8, seed=2))
    second.load_state_dict(saved)
    again = run(second, actions(80, 8, seed=2))
    assert torch.equal(flat(going_on), flat(again))
    assert sum(len(step.ended) for step in going_on) > 5
    for a, b in zip(going_on, again, strict=True):
        assert all(torch.equal(a.episode_terms[name], b.episode_terms[name]) for name in a.episode_terms)
        assert torch.equal(a.episode_length, b.episode_length)


@pytest.mark.parametrize("ground", ["flat", "rough"])
def test_a_saved_environment_of_quadrupeds_goes_on_bit_for_bit(make_legged: Callable[..., MujocoLegged], ground: str):
    """Levels, clocks, commands, biases and pushes included, across resets."""
    terrain = TerrainConfig(levels=2, tile=4.0, border=2.0) if ground == "rough" else None
    first, second = (
        legged_env(make_legged, QuadrupedConfig(terrain=terrain, push_s=0.5, command_s=0.3, episode_steps=25))
        for _ in range(2)
    )
    rows = 0.5 * torch.randn(90, 6, 12, generator=torch.Generator().manual_seed(0))
    first.reset()
    second.reset()
    run(first, rows[:40])
    run(second, rows[:7])
    saved = {name: value.clone() for name, value in first.state_dict().items()}
    going_on = run(first, rows[40:])
    second.load_state_dict(saved)
    again = run(second, rows[40:])
    assert torch.equal(flat(going_on), flat(again))
    assert torch.equal(first.level, second.level)
    assert sum(len(step.ended) for step in going_on) >= 12


# What tasks are told
# ---------------------------------------------------------------------------------------------------------------------
class Asked(Quadruped):
    """Keeps what the environment asks of it."""

    def __init__(self) -> None:
        super().__init__(QuadrupedConfig(episode_steps=3, push_s=0.0))
        self.transitions: list[Transition] = []
        self.ages: list[list[int]] = []
        self.started: list[list[int]] = []
        self.regraded: list[tuple[list[int], list[int]]] = []
        self.levels = 3

    def goal(self, episode_step, previous, generator):  # pyright: ignore
        if previous is None:
            self.started.append(episode_step.tolist())
        return super().goal(episode_step, previous, generator)

    def disturb(self, engine, episode_step, generator):  # pyright: ignore
        self.ages.append(episode_step.tolist())

    def reward(self, step: Transition):
        self.transitions.append(step)
        return super().reward(step)

    def regrade(self, level, state, goal, engine, ids):  # pyright: ignore
        assert len(state.position) == len(goal["phase"]) == len(ids)
        self.regraded.append((ids.tolist(), level.tolist()))
        return (level + 1).clamp_max(2)


def test_a_task_is_told_of_ages_commands_and_levels(make_legged: Callable[..., MujocoLegged]):
    """It may disturb before each step; it sees this command and the one before, and grades the worlds that ended."""
    task = Asked()
    env = Env(task, make_legged(3), seed=0)
    env.reset()
    env.episode_step[1] = 1
    rows = 0.1 * torch.randn(4, 3, 12, generator=torch.Generator().manual_seed(0))
    standing = env.command.clone()
    run(env, rows)
    assert task.ages == [[0, 1, 0], [1, 2, 1], [2, 0, 2], [0, 1, 0]]
    assert task.started == [[0, 0, 0], [0], [0, 0]]
    assert task.regraded == [([1], [0]), ([0, 2], [0, 0])]
    assert env.level.tolist() == [1, 1, 1]
    first, second, third, _ = task.transitions
    assert torch.equal(first.previous, standing)
    assert torch.equal(second.previous, first.command)
    assert torch.equal(third.previous[[0, 2]], second.command[[0, 2]])
    assert torch.equal(third.previous[1], standing[1]), "a new episode follows no command of the former"
    assert not torch.equal(first.command, second.command)


def test_a_state_is_indexed_by_world(tumbling: Callable[..., State]):
    state = tumbling(4)
    assert torch.equal(state[torch.tensor([2, 0])].position, state.position[[2, 0]])
