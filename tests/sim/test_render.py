"""Pictures of a movement: the robot, its trail and the reference are really in them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from isthmus_sim.offscreen import available_backend

if available_backend() is None:
    pytest.skip("needs off-screen OpenGL: apt-get install libegl1 libopengl0", allow_module_level=True)

from isthmus_sim.render import Motion, MotionRenderer, NoRendererError, scene_of
from isthmus_sim.tasks.quadrotor import Quadrotor
from isthmus_sim.tasks.quadruped import Quadruped

from isthmus_sim.engines import make_engine
from isthmus_sim.robots.quadruped import description as quadruped
from isthmus_sim.task import Task
from isthmus_sim.terrain import KINDS, Terrain, TerrainConfig

FPS = 10


def straight(duration_s: float = 1.0, *, reference_offset: float = 0.0) -> Motion:
    """A level quadrotor that moves along x at 0.3 m/s, 1 m above the ground; samples every 10 ms."""
    time = np.arange(0.0, duration_s + 0.005, 0.01)
    position = np.stack((0.3 * time, 0 * time, 1 + 0 * time), axis=1)
    level = np.tile((1.0, 0.0, 0.0, 0.0), (len(time), 1))
    reference = position + np.array((0.0, 0.0, reference_offset))
    return Motion(time=time, qpos=np.concatenate((position, level), axis=1), position=position, reference=reference)


def draw(motion: Motion, height: int = 120, **options: float) -> np.ndarray:
    with MotionRenderer(scene_of("crazyflie"), width=height * 4 // 3, height=height) as renderer:
        return np.stack([frame.copy() for frame in renderer.frames(motion, fps=FPS, **options)])


def count(frame: np.ndarray, *, more: int, than: int) -> int:
    """Pixels whose channel `more` is well above channel `than` and which are no sky (red, green, blue = 0, 1, 2)."""
    values = frame.astype(int)
    return int((values[..., more] - values[..., than] > 90).sum())


def test_the_robot_is_in_the_middle_of_every_picture():
    frames = draw(straight())
    assert frames.shape == (10, 120, 160, 3)
    assert frames.dtype == np.uint8
    for frame in frames:
        red = frame[30:90, 40:120]  # its front rotors
        assert count(red, more=0, than=2) > 40
    assert np.abs(np.diff(frames.astype(int), axis=0)).max() > 50, "the ground moves below it"


def test_without_the_robot_there_is_no_robot():
    motion = straight()
    away = motion.qpos + np.eye(7)[2] * 50.0
    frames = draw(dataclasses.replace(motion, qpos=away), past_s=0.0)
    assert max(count(frame, more=0, than=2) for frame in frames) < 10


def test_trail_and_reference_are_drawn():
    motion = straight(reference_offset=0.08)
    with_lines, without = draw(motion, 360)[-1], draw(motion, 360, past_s=0.0, ahead_s=0.0)[-1]
    drawn = np.where(np.abs(with_lines.astype(int) - without).max(-1, keepdims=True) > 20, with_lines, 0)
    assert count(drawn, more=0, than=2) > 40, "orange trail"
    assert count(drawn, more=2, than=0) > 40, "blue reference"


def test_without_a_reference_none_is_drawn():
    motion = straight(reference_offset=0.08)
    plain = dataclasses.replace(motion, reference=None)
    with_it, without = draw(motion, 360, past_s=0.0)[-1], draw(plain, 360, past_s=0.0)[-1]
    gone = np.where(np.abs(with_it.astype(int) - without).max(-1, keepdims=True) > 20, with_it, 0)
    assert count(gone, more=2, than=0) > 20, "the blue line and ball"
    assert np.isfinite(plain.at_rate(30).qpos).all()


def walking(pose: tuple[float, ...], height: float) -> Motion:
    """A quadruped in one pose that glides along x at 0.5 m/s; its reference runs along beside it."""
    time = np.arange(0.0, 1.005, 0.02)
    position = np.stack((0.5 * time, 0 * time, height + 0 * time), axis=1)
    rest = np.tile((1.0, 0.0, 0.0, 0.0, *pose), (len(time), 1))
    reference = position + np.array((0.0, 0.5, 0.0))
    return Motion(time=time, qpos=np.concatenate((position, rest), axis=1), position=position, reference=reference)


def test_the_quadruped_is_drawn_in_its_pose_with_its_way_on_the_ground():
    scene = scene_of("quadruped")
    pictures = []
    for pose, height in ((quadruped.DEFAULT_POSE, quadruped.STAND_HEIGHT), (quadruped.PRONE_POSE, 0.06)):
        with MotionRenderer(scene, width=480, height=360) as renderer:
            pictures.append([frame.copy() for frame in renderer.frames(walking(pose, height), fps=FPS)][-1])
    stands, lies = pictures
    assert scene.joints == quadruped.JOINTS
    assert np.abs(stands.astype(int) - lies)[120:300, 160:320].max() > 100, "another pose is another picture"
    assert count(stands, more=2, than=0) > 100, "the reference, beside the robot"
    trail = count(stands[200:], more=0, than=2)
    assert trail > count(stands[:100], more=0, than=2), "its way is on the ground, below it"


def test_a_terrain_takes_the_place_of_the_flat_ground():
    terrain = Terrain(TerrainConfig(levels=1, tile=3.0, border=1.0))
    kind = torch.tensor([KINDS.index("steps down")])
    place = terrain.origin(torch.tensor([0]), kind)[0].double().numpy()
    motion = walking(quadruped.DEFAULT_POSE, quadruped.STAND_HEIGHT)
    position, qpos = motion.position + place, motion.qpos.copy()
    qpos[:, :3] = position
    motion = dataclasses.replace(motion, position=position, qpos=qpos, reference=position)
    frames = []
    for ground in (None, terrain):
        with MotionRenderer(scene_of("quadruped", ground), width=160, height=120) as renderer:
            frames.append(next(iter(renderer.frames(motion, fps=FPS))).astype(int))
    assert np.abs(frames[0] - frames[1]).max() > 60
    assert scene_of("quadruped", terrain).ground(position)[0] == pytest.approx(place[2], abs=1e-5)


def test_a_movement_is_sampled_between_its_samples():
    moments = straight(0.5).at_rate(30)
    assert len(moments.time) == 15
    assert moments.position[:, 0] == pytest.approx(0.3 * moments.time)


@pytest.mark.parametrize(("task", "size"), [(Quadrotor(), 7), (Quadruped(), 7 + 12)])
def test_the_state_of_an_engine_can_be_drawn(task: Task, size: int):
    engine = make_engine(task, 2)
    qpos = scene_of(task.robot.name).qpos(engine.read())
    assert qpos.shape == (2, size)


def test_an_unknown_robot_is_refused_with_the_known():
    with pytest.raises(ValueError, match="no scene for robot 'cat'; there are scenes for: crazyflie, quadruped"):
        scene_of("cat")


def test_without_a_renderer_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(NoRendererError, match="apt-get install libegl1"):
        MotionRenderer(scene_of("crazyflie"))
