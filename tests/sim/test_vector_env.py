"""The gymnasium adapter, held to gymnasium's own checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics, RescaleAction

from isthmus_sim.description import with_camera
from isthmus_sim.rendering.offscreen import available_backend
from isthmus_sim.robots import ROBOTS
from isthmus_sim.single_env import TaskEnv
from isthmus_sim.tasks import TASKS, make_task
from isthmus_sim.tasks.hover import HoverConfig
from isthmus_sim.tasks.velocity_config import VelocityConfig
from isthmus_sim.vector_env import TaskVectorEnv


@pytest.mark.parametrize("groups", [None, ("actor",)], ids=["all groups", "one group"])
def test_passes_gymnasiums_environment_checker(groups: tuple[str, ...] | None):
    env = gymnasium.make("isthmus_sim.vector_env:isthmus/quadrotor-v0", groups=groups)
    check_env(env.unwrapped, skip_render_check=True)


@pytest.mark.skipif(available_backend() is None, reason="needs off-screen OpenGL")
def test_one_world_is_drawn():
    env = gymnasium.make("isthmus/quadrotor-v0", render_mode="rgb_array", disable_env_checker=True)
    env.reset(seed=0)
    before = env.render()
    for _ in range(10):
        env.step(np.zeros(4, np.float32))
    assert isinstance(before, np.ndarray)
    assert (before.dtype, before.ndim) == (np.uint8, 3)
    assert (before != env.render()).any()
    env.close()
    with pytest.raises(ValueError, match="'depth'; there are: rgb_array"):
        TaskEnv(task="quadrotor", render_mode="depth")


def test_an_episode_of_one_world_ends_with_its_true_last_observation():
    env = TaskEnv(task="quadrotor", groups="critic")
    env.reset(seed=0)
    ended = False
    while not ended:
        seen, _, ended, _, info = env.step(np.full(4, -1.0, np.float32))
    assert np.abs(seen[:3]).max() > 0.6  # beyond the limit: where it failed
    assert info == {"succeeded": False}


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


def test_gymnasiums_vector_wrappers_accept_it():
    env = TaskVectorEnv("quadrotor", 3)
    wrapped = RecordEpisodeStatistics(RescaleAction(env, np.full(4, -2.0, np.float32), np.full(4, 2.0, np.float32)))
    wrapped.reset(seed=1)
    for _ in range(100):
        *_, terminated, _, info = wrapped.step(np.full((3, 4), -2.0, np.float32))
        if terminated.any():
            break
    assert "episode" in info


# Made from
# ---------------------------------------------------------------------------------------------------------------------
def test_gymnasium_knows_every_task_by_name():
    assert {f"isthmus/{name}-v0" for name in TASKS} <= set(gymnasium.registry)
    config = HoverConfig(history=3)
    env = gymnasium.make_vec("isthmus/quadrotor-v0", 2, config=config, groups=("actor",), engine="mujoco")
    assert isinstance(env, TaskVectorEnv)
    assert env.single_observation_space.shape == (18 + 4 * 3,)
    by_module = gymnasium.make_vec("isthmus_sim.vector_env:isthmus/quadrotor-figure-eight-5.5s-v0", 2)
    assert by_module.reset(seed=0)[0] in by_module.observation_space


def test_a_task_of_ones_own():
    task = make_task("quadrotor", HoverConfig(episode_steps=4))
    env = TaskVectorEnv(task, 2)
    env.reset(seed=0)
    ends = [env.step(np.full((2, 4), 0.334, np.float32))[3].all() for _ in range(4)]
    assert ends == [False, False, False, True]
    for more in ({"config": HoverConfig()}, {"robot": ROBOTS["crazyflie"]}):
        with pytest.raises(ValueError, match="'hover' is made already"):
            TaskVectorEnv(task, 2, **more)  # pyright: ignore[reportArgumentType]


def test_another_robot_and_configuration():
    env = TaskVectorEnv(
        "quadruped", 2, robot=replace(ROBOTS["quadruped"], name="dog"), config=VelocityConfig(history=1)
    )
    assert env.task.robot.name == "dog"
    assert env.task.groups["actor"].shape == (77,)  # 35 now, and 42 of a step before


def test_groups_are_chosen_in_their_order():
    env = TaskVectorEnv("quadrotor", 2, groups=("critic", "actor"))
    assert isinstance(env.single_observation_space, Dict)
    assert {name: space.shape for name, space in env.single_observation_space.items()} == {
        "actor": (146,), "critic": (28,)
    }  # fmt: skip
    assert list(env.reset()[0]) == ["critic", "actor"]
    one = TaskVectorEnv("quadrotor", 2, groups=("critic",))
    observations, _ = one.reset(seed=5)
    assert isinstance(one.single_observation_space, Box)
    assert observations.shape == (2, 28)


@pytest.mark.skipif(available_backend() is None, reason="needs off-screen OpenGL")
def test_images_are_bytes():
    robot = with_camera(ROBOTS["so101"], "seeing arm", "scene", (32, 32))
    env = TaskVectorEnv("reach_cube", 2, robot=robot, groups=("image",))
    assert env.single_observation_space == Box(0, 255, (32, 32, 3), np.uint8)
    observations, _ = env.reset(seed=0)
    assert observations in env.observation_space
    assert len(np.unique(observations)) > 10
    env.close()


def test_unknown_names_are_refused_with_the_known():
    with pytest.raises(ValueError, match="quadrotor-randomized"):
        TaskVectorEnv("quadrotr", 1)
    with pytest.raises(ValueError, match="analytic, isaacgym, mujoco"):
        TaskVectorEnv("quadrotor", 1, engine="bullet")
    with pytest.raises(ValueError, match="pixels; it has: actor, critic"):
        TaskVectorEnv("quadrotor", 1, groups=("actor", "pixels"))
    with pytest.raises(ValueError, match="it has: actor, critic"):
        TaskVectorEnv("quadrotor", 1, groups=())


@pytest.mark.parametrize(
    ("task", "given", "named"),
    [
        (None, {}, "not a NoneType; names: .*quadrotor"),
        (TASKS["quadrotor"], {}, "not a TaskEntry; names: .*quadrotor"),
        ("quadrotor", {"config": {"history": 3}}, r"HoverConfig of isthmus_sim\.tasks\.hover, not a dict"),
        ("quadrotor", {"config": VelocityConfig()}, "HoverConfig .*not a VelocityConfig"),
        ("quadrotor", {"robot": "crazyflie"}, "RobotDescription .*not a str"),
        ("quadrotor", {"num_envs": 0}, "from 1 on, got 0"),
        ("quadrotor", {"num_envs": 2.5}, r"from 1 on, got 2\.5"),
        ("quadrotor", {"render_mode": "rgb_array"}, r"'rgb_array'.*gymnasium\.make"),
    ],
)
def test_what_is_of_another_type_is_named(task: Any, given: dict[str, Any], named: str):
    with pytest.raises(ValueError, match=named):
        TaskVectorEnv(task, **dict[str, Any](num_envs=1) | given)


# Steps
# ---------------------------------------------------------------------------------------------------------------------
def test_the_same_seed_gives_the_same_episodes():
    def run() -> list[np.ndarray]:
        env = TaskVectorEnv("quadrotor-randomized", 4)
        env.action_space.seed(7)
        env.reset(seed=11)
        return [env.step(env.action_space.sample())[0]["actor"] for _ in range(50)]

    for first, second in zip(run(), run(), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("groups", "critic_of"), [(None, lambda row: row["critic"]), (("critic",), lambda row: row)], ids=["dict", "box"]
)
def test_the_true_last_observation_is_kept_where_an_episode_ends(
    groups: tuple[str, ...] | None, critic_of: Callable[[Any], np.ndarray]
):
    env = TaskVectorEnv("quadrotor", 8, groups=groups)
    env.reset(seed=0)
    falling = np.full((8, 4), -1.0, np.float32)
    for _ in range(200):
        observations, _, terminated, _, info = env.step(falling)
        if terminated.any():
            break
    assert (info["_final_obs"] == terminated).all()
    assert not info["succeeded"].any()
    world = int(np.flatnonzero(terminated)[0])
    assert np.abs(critic_of(info["final_obs"][world])[:3]).max() > 0.6  # beyond the limit: where it failed
    assert np.abs(critic_of(observations)[world][:3]).max() <= 0.2  # already a start position of the next episode
    assert info["episode_terms"]["survival"].shape == (terminated.sum(),)


def test_a_foreign_learner_follows_the_curriculum():
    """Errors cost little at first; what a learner says of its progress holds over a seeded reset."""

    def reward(env: TaskVectorEnv) -> float:
        env.reset(seed=0)
        return float(env.step(np.full((3, 4), 0.334, np.float32))[1].sum())

    env = TaskVectorEnv("quadrotor", 3, progress=0.0)
    easy = reward(env)
    env.set_progress(1.0)
    hard = reward(env)
    assert easy > hard
    assert hard == reward(TaskVectorEnv("quadrotor", 3)), "the whole task is the default"
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="from 0 to 1"):
            env.set_progress(wrong)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_actions_that_are_no_numbers_are_refused_and_change_nothing(wrong: float):
    env, other = (TaskVectorEnv("quadrotor", 3) for _ in range(2))
    env.reset(seed=2)
    other.reset(seed=2)
    actions = np.full((3, 4), 0.3, np.float32)
    spoiled = actions.copy()
    spoiled[1, 2] = wrong
    with pytest.raises(ValueError, match=r"worlds are not finite numbers: 1$"):
        env.step(spoiled)
    np.testing.assert_array_equal(env.step(actions)[0]["actor"], other.step(actions)[0]["actor"])


@pytest.mark.parametrize("type_", [complex, "datetime64[s]", str, object])
def test_actions_of_another_type_are_refused(type_: Any):
    env = TaskVectorEnv("quadrotor", 3)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"actions are of the type .*real numbers"):
        env.step(np.zeros((3, 4)).astype(int).astype(type_))


def test_actions_of_another_shape_are_refused():
    env = TaskVectorEnv("quadrotor", 3)
    env.reset()
    with pytest.raises(ValueError, match=r"\(3, 3\); these worlds take \(3, 4\)"):
        env.step(np.zeros((3, 3), np.float32))


def test_step_before_reset_is_refused():
    with pytest.raises(gymnasium.error.ResetNeeded):
        TaskVectorEnv("quadrotor", 1).step(np.zeros((1, 4), np.float32))
