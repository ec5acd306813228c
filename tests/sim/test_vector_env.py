"""The gymnasium adapter, held to gymnasium's own checks."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics, RescaleAction

from isthmus_sim.vector_env import TaskVectorEnv


class OneWorld(gymnasium.Env):
    """A vector of one world as a plain Env, since gymnasium's checker takes only those."""

    def __init__(self) -> None:
        self.vector = TaskVectorEnv("quadrotor", 1)
        self.observation_space = self.vector.single_observation_space
        self.action_space = self.vector.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        observations, info = self.vector.reset(seed=seed, options=options)
        return self._only(observations), info

    def step(self, action):
        observations, reward, terminated, truncated, info = self.vector.step(action[None])
        if "final_obs" in info:
            return info["final_obs"][0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}
        return self._only(observations), float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}

    def _only(self, observations):
        return {name: value[0] for name, value in observations.items()}


def test_passes_gymnasiums_environment_checker():
    check_env(OneWorld(), skip_render_check=True)


def test_spaces_contain_what_reset_and_step_return():
    env = TaskVectorEnv("quadrotor", 5)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    observations, _ = env.reset(seed=3)
    assert observations in env.observation_space
    env.action_space.seed(3)
    observations, reward, terminated, truncated, _ = env.step(env.action_space.sample())
    assert observations in env.observation_space
    assert reward.shape == terminated.shape == truncated.shape == (5,)
    assert terminated.dtype == truncated.dtype == np.bool_


def test_the_same_seed_gives_the_same_episodes():
    def run() -> list[np.ndarray]:
        env = TaskVectorEnv("quadrotor-randomized", 4)
        env.action_space.seed(7)
        env.reset(seed=11)
        return [env.step(env.action_space.sample())[0]["actor"] for _ in range(50)]

    for first, second in zip(run(), run(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_true_last_observation_is_kept_where_an_episode_ends():
    env = TaskVectorEnv("quadrotor", 8)
    env.reset(seed=0)
    falling = np.full((8, 4), -1.0, np.float32)
    for _ in range(200):
        observations, _, terminated, _, info = env.step(falling)
        if terminated.any():
            break
    assert (info["_final_obs"] == terminated).all()
    world = int(np.flatnonzero(terminated)[0])
    assert np.abs(info["final_obs"][world]["critic"][:3]).max() > 0.6  # beyond the limit: where it failed
    assert np.abs(observations["critic"][world][:3]).max() <= 0.2  # already a start position of the next episode


def test_gymnasiums_vector_wrappers_accept_it():
    env = TaskVectorEnv("quadrotor", 3)
    wrapped = RecordEpisodeStatistics(RescaleAction(env, np.full(4, -2.0, np.float32), np.full(4, 2.0, np.float32)))
    wrapped.reset(seed=1)
    for _ in range(100):
        *_, terminated, _, info = wrapped.step(np.full((3, 4), -2.0, np.float32))
        if terminated.any():
            break
    assert "episode" in info


def test_step_before_reset_and_unknown_names_are_refused():
    with pytest.raises(gymnasium.error.ResetNeeded):
        TaskVectorEnv("quadrotor", 1).step(np.zeros((1, 4), np.float32))
    with pytest.raises(ValueError, match="quadrotor-randomized"):
        TaskVectorEnv("quadrotr", 1)
    with pytest.raises(ValueError, match="analytic, mujoco"):
        TaskVectorEnv("quadrotor", 1, engine="bullet")
