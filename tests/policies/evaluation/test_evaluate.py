"""Evaluation: every episode counts once, and the intervals are what they say."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from isthmus_sim.tasks.quadrotor import Quadrotor, QuadrotorConfig

from isthmus_policies.evaluation.evaluate import Actor, PolicyActor, evaluate, mean_interval, wilson
from isthmus_policies.files import write_json
from isthmus_policies.training.trainer import load_policy
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor
from isthmus_sim.env import Env, Step
from isthmus_sim.robots.quadrotor.description import CRAZYFLIE, MAX_ROTOR_SPEED

STILL = QuadrotorConfig(
    sensors={}, force_share=0.0, torque_share=0.0, start_position=0.0, start_angle=0.0, start_velocity=0.0,
    start_rate=0.0, start_rotor_speed=CRAZYFLIE.hover_speed, episode_steps=100,
)  # fmt: skip
HOVER = 2 * CRAZYFLIE.hover_speed / MAX_ROTOR_SPEED - 1


@pytest.mark.parametrize(
    ("successes", "n", "interval"),
    [
        # Wilson's score interval at z = 1.96, worked out by hand: (p + z²/2n ± z√(p(1-p)/n + z²/4n²)) / (1 + z²/n)
        (5, 10, (0.236593, 0.5, 0.763407)),
        (81, 263, (0.255289, 0.307985, 0.366209)),  # Newcombe 1998, table I: 0.2553 to 0.3662
        (0, 20, (0.0, 0.0, 0.161125)),
        (20, 20, (0.838875, 1.0, 1.0)),
        (1, 29, (0.006113, 0.034483, 0.171755)),  # Newcombe 1998, table I: 0.0061 to 0.1718
    ],
)
def test_wilson(successes: int, n: int, interval: tuple[float, float, float]):
    assert wilson(successes, n) == pytest.approx(interval, abs=2e-6)


@pytest.mark.parametrize("n", [2, 3, 7, 200, 500, 999])
@pytest.mark.parametrize("all_succeed", [False, True])
def test_a_share_and_its_interval_stay_between_zero_and_one(n: int, all_succeed: bool):
    low, share, high = wilson(n if all_succeed else 0, n)
    assert 0.0 <= low <= share <= high <= 1.0


def test_the_interval_of_a_mean():
    """1, 2, 3, 4: mean 2.5, standard deviation 1.290994, ± 1.959964·1.290994/2 = 1.265151."""
    assert mean_interval(torch.tensor([1.0, 2.0, 3.0, 4.0])) == pytest.approx((1.234849, 2.5, 3.765151), abs=2e-6)


class Hover(Actor):
    """Hovers, but flies away at full thrust in the worlds `crash`: some 40 steps, every episode."""

    def __init__(self, env: Env, crash: list[int]) -> None:
        env.reset()
        self.crash, self.t = crash, 0
        self.restarted: list[int] = []

    def step(self, env: Env) -> Step:
        action = torch.full((env.num_envs, 4), HOVER)
        action[self.crash] = 1.0
        self.t += 1
        return env.step(action)

    def restart(self, ids: torch.Tensor) -> None:
        self.restarted += ids.tolist()


def test_success_is_reaching_the_end():
    score = evaluate(Quadrotor(STILL), lambda env: Hover(env, crash=[0, 3, 4]), 10, seed=0)
    assert score.success == pytest.approx(wilson(7, 10))
    assert score.diverged == 0
    assert score.episodes == 10


def test_only_an_episodes_first_end_counts():
    """World 0 crashes and starts again, several times: one failure, and the reward of its first episode only."""
    config = replace(STILL, episode_steps=200)
    score = evaluate(Quadrotor(config), lambda env: Hover(env, crash=[0]), 2, seed=0)
    env = Env(Quadrotor(config), AnalyticQuadrotor(2), 0)
    hover, first, second, ends = Hover(env, crash=[0]), 0.0, 0.0, 0
    for _ in range(200):
        step = hover.step(env)
        first += float(step.reward[0]) if ends == 0 else 0.0
        second += float(step.reward[1])
        ends += int(step.terminated[0])
    assert ends >= 3
    assert score.success[1] == 0.5
    assert score.total_reward[1] == pytest.approx((first + second) / 2, rel=1e-4)


def test_the_actor_is_told_which_worlds_began_anew():
    actors: list[Hover] = []

    def make(env: Env) -> Hover:
        actors.append(Hover(env, crash=[1]))
        return actors[0]

    evaluate(Quadrotor(STILL), make, 3, seed=0)
    assert actors[0].restarted.count(1) >= 2
    assert {0, 2} <= set(actors[0].restarted), "all of them at the end"


def test_errors_are_of_the_successful_and_of_the_named_steps():
    """A drift at constant speed v: the error at step t is v·0.01·t. Steady: its mean over the last 40 %, steps 31 to
    49 of 50; root mean square: over steps 1 to 49. The crashed world counts in neither."""

    class Drift(Hover):
        def __init__(self, env: Env) -> None:
            super().__init__(env, crash=[])
            state = env.engine.read()
            state.linear_velocity = torch.tensor([[0.1, 0.0, 0.0]]).repeat(env.num_envs, 1)
            state.linear_velocity[2, 0] = 5.0
            env.engine.reset(torch.arange(env.num_envs), state)

    score = evaluate(Quadrotor(replace(STILL, episode_steps=50)), Drift, 4, seed=0)
    assert score.success[1] == 0.75
    errors = [0.001 * t for t in range(1, 50)]
    steady, rmse = score.steady["position_error_m"], score.rmse["position_error_m"]
    assert steady is not None
    assert rmse is not None
    assert steady[1] == pytest.approx(sum(errors[30:]) / 19, rel=1e-2)
    assert rmse[1] == pytest.approx((sum(e * e for e in errors) / 49) ** 0.5, rel=1e-2)


def test_no_success_gives_no_error_and_no_nan(tmp_path: Path):
    score = evaluate(Quadrotor(STILL), lambda env: Hover(env, crash=[0, 1, 2]), 3, seed=0)
    assert score.success[1] == 0.0
    assert score.steady == {"position_error_m": None}
    write_json(tmp_path / "evaluation.json", score)

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    assert json.loads((tmp_path / "evaluation.json").read_text(), parse_constant=refuse)["episodes"] == 3


def test_diverged_worlds_are_counted_as_failures():
    class Wild(Hover):
        def step(self, env: Env) -> Step:
            if self.t == 5:
                start = env.engine.read()[torch.tensor([1])]
                start.position[0] = float("nan")
                env.engine.reset(torch.tensor([1]), start)
            return super().step(env)

    score = evaluate(Quadrotor(STILL), lambda env: Wild(env, crash=[]), 4, seed=0)
    assert score.diverged == 1
    assert score.success[1] == 0.75
    assert all(x == x for x in score.total_reward)


def test_the_same_seed_is_the_same_score_on_either_engine(run_folder: Path):
    config, policy, _ = load_policy(run_folder)
    task = Quadrotor(QuadrotorConfig(episode_steps=40))
    assert config.task == "quadrotor"

    def score(seed: int, engine: str = "analytic"):
        return asdict(evaluate(task, lambda env: PolicyActor(policy, env), 16, seed, engine=engine))

    assert score(1) == score(1)
    assert score(1)["total_reward"] != score(2)["total_reward"]
    analytic, mujoco = score(1)["total_reward"], score(1, "mujoco")["total_reward"]
    assert mujoco[0] < analytic[1] < mujoco[2], "the engines differ by far less than the episodes"


def test_progress_is_told():
    told: list[tuple[int, int]] = []
    evaluate(Quadrotor(STILL), lambda env: Hover(env, []), 2, 0, on_step=lambda *now: told.append(now))
    assert told == [(t, 100) for t in range(1, 101)]


def test_one_episode_has_no_interval():
    with pytest.raises(ValueError, match="at least 2 episodes, got 1"):
        evaluate(Quadrotor(STILL), lambda env: Hover(env, []), 1, seed=0)
