"""Videos of episodes and missions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import numpy as np
import pytest

from isthmus_sim.rendering.offscreen import available_backend

if available_backend() is None:
    pytest.skip("needs off-screen OpenGL: apt-get install libegl1 libopengl0", allow_module_level=True)

import torch

from isthmus_policies.evaluation import video
from isthmus_policies.evaluation.runners import NetworkRunner
from isthmus_policies.evaluation.video import EPISODES, FPS, _note, episode_video, mission_video, velocities
from isthmus_policies.networks.policy import make_policy
from isthmus_policies.training.config import default_config
from isthmus_sim.robots import ROBOTS
from isthmus_sim.robots.quadruped.description import DEFAULT_POSE, JOINTS
from isthmus_sim.tasks import TASKS, make_task
from isthmus_sim.tasks.velocity import VelocityTracking
from isthmus_sim.terms.rewards import TURNING_GOAL, VELOCITY_GOAL


def images(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def film_episodes(name: str, steps: int, path: Path) -> np.ndarray:
    """Episodes of an untrained policy, cut after so many steps."""
    torch.manual_seed(0)
    task = make_task(name, dataclasses.replace(TASKS[name].config, episode_steps=steps))
    config = default_config(name)
    policy = make_policy(config.policy_name, config.policy, dict(task.groups), task.action_size)
    return images(episode_video(task, lambda env: NetworkRunner(policy, env), 3, path))


def test_the_video_holds_whole_episodes_one_after_another(tmp_path: Path):
    frames = film_episodes("quadrotor", 20, tmp_path / "video.mp4")  # too short to leave the limits
    assert frames.shape == (EPISODES * round((20 - 1) * 0.01 * FPS), 480, 640, 3)


def test_a_flights_video_shows_robot_caption_and_map(tmp_path: Path):
    time = np.arange(0.0, 1.005, 0.01)
    position = np.stack((0.2 * time, 0 * time, 1 + 0 * time), axis=1)
    flight = {
        "time": time, "position": position, "orientation": np.tile((1.0, 0, 0, 0), (len(time), 1)),
        "reference_position": position + np.array((0.0, 0.05, 0.0)),
    }  # fmt: skip
    done: list[tuple[int, int]] = []
    path = mission_video(
        ROBOTS["crazyflie"], flight, [("hover", 0.0, 0.5), ("landing", 0.5, 1.0)], "at {:.1f} s".format,
        tmp_path / "flight.mp4", on_frame=lambda *progress: done.append(progress),
    )  # fmt: skip
    frames = images(path).astype(int)
    assert len(frames) == FPS == len(done)
    assert done[-1] == (FPS, FPS)
    middle = frames[:, 160:320, 220:420]
    assert ((middle[..., 0] - middle[..., 2]) > 90).sum(axis=(1, 2)).min() > 300, "red rotors"
    assert frames[:, 480 - 80, 640 - 100].max() < 140, "the map's dark card"
    caption = frames[:, 20:50, 20:160]
    assert np.abs(caption[0] - caption[-1]).max() > 100, "another phase, another text"


def test_a_walks_video_moves_the_joints_whatever_their_order(tmp_path: Path):
    time = np.arange(0.0, 1.01, 0.02)
    position = np.stack((0.4 * time, 0 * time, 0.33 + 0 * time), axis=1)
    names = sorted(JOINTS)
    swing = 0.5 * np.sin(2 * np.pi * time)[:, None] * np.array(["calf" in name for name in names])
    angles = np.array([DEFAULT_POSE[JOINTS.index(name)] for name in names]) + swing
    walk = {
        "time": time, "position": position, "orientation": np.tile((1.0, 0, 0, 0), (len(time), 1)),
        "reference_position": position * (1, 1, 0), "reading_order/joint_position": np.array(names),
        "reading_time/joint_position": time, "reading/joint_position": angles,
    }  # fmt: skip

    def film(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
        path = mission_video(ROBOTS["quadruped"], arrays, [("side 1", 0.0, 1.0)], str, tmp_path / name)
        return images(path).astype(int)

    moving, other = film(walk, "walk.mp4"), film({**walk, "reading/joint_position": angles - swing}, "still.mp4")
    assert len(moving) == FPS
    difference = np.abs(moving - other)[:, 160:400, 200:440].mean(axis=(1, 2, 3))
    assert difference[FPS // 4] > 5 * difference[0], "the legs bend"
    turned_round = {
        **walk,
        "reading_order/joint_position": walk["reading_order/joint_position"][::-1],
        "reading/joint_position": angles[:, ::-1],
    }
    assert np.abs(film(turned_round, "same.mp4") - moving).max() < 3


@pytest.mark.parametrize(("name", "period_s"), [("quadruped", 0.02), ("push_t", 0.1), ("reach_cube", 1 / 30)])
def test_an_episode_without_a_reference_is_filmed(tmp_path: Path, name: str, period_s: float):
    frames = film_episodes(name, 10, tmp_path / "video.mp4")
    assert len(frames) == EPISODES * round((10 - 1) * period_s * FPS)


def test_rough_ground_is_filmed_from_its_easiest_level_to_its_hardest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    filmed: list[video.Clip] = []
    monkeypatch.setattr(video, "film", lambda scene, clips, path: filmed.extend(clips))
    name = "quadruped-rough"
    task = make_task(name, dataclasses.replace(TASKS[name].config, episode_steps=3))
    policy = make_policy("mlp", default_config(name).policy, dict(task.groups), task.action_size)
    episode_video(task, lambda env: NetworkRunner(policy, env), 3, tmp_path / "video.mp4")
    assert isinstance(task, VelocityTracking)
    assert task.terrain is not None
    for i, clip in enumerate(filmed):
        level = (0, task.levels // 2, task.levels - 1)[i]
        assert f"{task.kinds[i]}, level {level} of 0 to {task.levels - 1}" in clip.title(0.0)
        tile = task.terrain.origin(torch.tensor([level]), torch.tensor([i]))[0, :2].numpy()
        assert np.abs(clip.motion.state["position"][0, :2] - tile).max() < 0.5, "it walks on the ground that it names"
    assert len(filmed) == EPISODES


def test_a_fixed_robot_is_filmed_by_its_joints(tmp_path: Path):
    robot, time = ROBOTS["so101"], np.arange(0.0, 1.01, 0.02)
    names = list(robot.joints)
    angles = np.tile(robot.default_pose, (len(time), 1))
    arrays = {"time": time, "reading_order/joint_position": np.array(names), "reading_time/joint_position": time,
              "reading/joint_position": angles}  # fmt: skip
    still = images(mission_video(robot, arrays, [("goal 1", 0.0, 1.0)], lambda _: "", tmp_path / "still.mp4"))
    turning = {**arrays, "reading/joint_position": angles + 0.8 * time[:, None] * (np.array(names) == names[0])}
    moving = images(mission_video(robot, turning, [("goal 1", 0.0, 1.0)], lambda _: "", tmp_path / "moving.mp4"))
    difference = np.abs(moving.astype(int) - still).mean(axis=(1, 2, 3))
    assert difference[-1] > 5 * max(difference[0], 0.05)


@pytest.mark.parametrize("names", [("reference_position",), (VELOCITY_GOAL, TURNING_GOAL)])
def test_what_a_fixed_arm_does_is_noted_by_the_tasks_metrics(names: tuple[str, ...]):
    task = SimpleNamespace(metrics=lambda state, goal: {"distance_m": torch.tensor([0.25])})
    goal = {name: torch.zeros(1, 3) for name in names}
    note = _note(cast(Any, task), {"joint_position": torch.zeros(1, 2)}, goal)
    assert note == "distance_m 0.250"


def test_a_velocity_is_noted_with_what_was_asked():
    note = velocities((0.6, 0.0, -0.8), (0.52, -0.04, -0.75))
    assert note.split("     ") == ["forward +0.5 of +0.6 m/s", "left +0.0 of +0.0 m/s", "turn -0.8 of -0.8 rad/s"]
