"""Videos of episodes and flights."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from isthmus_sim.offscreen import available_backend

if available_backend() is None:
    pytest.skip("needs off-screen OpenGL: apt-get install libegl1 libopengl0", allow_module_level=True)

import torch

from isthmus_policies.evaluate import PolicyActor
from isthmus_policies.networks import ActorCritic, NetworkConfig
from isthmus_policies.video import EPISODES, FPS, episode_video, flight_video
from isthmus_sim.tasks.quadrotor import Quadrotor, QuadrotorConfig


def pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_the_video_holds_whole_episodes_one_after_another(tmp_path: Path):
    torch.manual_seed(0)
    task = Quadrotor(QuadrotorConfig(episode_steps=20))  # too short to leave the limits
    policy = ActorCritic(task.groups, task.action_size, NetworkConfig())
    path = episode_video(task, lambda env: PolicyActor(policy, env), 3, tmp_path / "video.mp4")
    frames = pictures(path)
    assert frames.shape == (EPISODES * round((20 - 1) * 0.01 * FPS), 480, 640, 3)


def test_a_flights_video_shows_robot_caption_and_map(tmp_path: Path):
    time = np.arange(0.0, 1.005, 0.01)
    position = np.stack((0.2 * time, 0 * time, 1 + 0 * time), axis=1)
    flight = {
        "time": time, "position": position, "orientation": np.tile((1.0, 0, 0, 0), (len(time), 1)),
        "reference_position": position + np.array((0.0, 0.05, 0.0)),
    }  # fmt: skip
    done: list[tuple[int, int]] = []
    path = flight_video(
        "crazyflie", flight, [("hover", 0.0, 0.5), ("landing", 0.5, 1.0)], tmp_path / "flight.mp4",
        on_frame=lambda *progress: done.append(progress),
    )  # fmt: skip
    frames = pictures(path).astype(int)
    assert len(frames) == FPS == len(done)
    assert done[-1] == (FPS, FPS)
    middle = frames[:, 160:320, 220:420]
    assert ((middle[..., 0] - middle[..., 2]) > 90).sum(axis=(1, 2)).min() > 300, "red rotors"
    assert frames[:, 480 - 80, 640 - 100].max() < 140, "the map's dark card"
    caption = frames[:, 20:50, 20:160]
    assert np.abs(caption[0] - caption[-1]).max() > 100, "another phase, another text"


def test_a_robot_without_a_scene_is_refused(tmp_path: Path):
    class Cat(Quadrotor):
        robot = type("Spec", (), {"name": "cat"})()

    with pytest.raises(ValueError, match="no scene for robot 'cat'"):
        episode_video(Cat(), lambda env: PolicyActor(None, env), 0, tmp_path / "video.mp4")  # pyright: ignore[reportArgumentType]
    assert not list(tmp_path.iterdir())
