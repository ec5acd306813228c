"""Images of a movement: the robot, what it moves, its trail and the reference are really in them."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import dataclasses
from typing import Any

import mujoco
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from isthmus_sim.rendering.offscreen import available_backend

if available_backend() is None:
    pytest.skip("needs off-screen OpenGL: apt-get install libegl1 libopengl0", allow_module_level=True)

from isthmus_sim.description import Looks, RobotDescription
from isthmus_sim.engines import make_engine
from isthmus_sim.engines.mujoco_model import scene_spec
from isthmus_sim.rendering.motion import Motion
from isthmus_sim.rendering.pose import Poser
from isthmus_sim.rendering.render import MotionRenderer, base_position
from isthmus_sim.rendering.renderer import NoRendererError
from isthmus_sim.robots import ROBOTS
from isthmus_sim.robots.quadruped import description as quadruped
from isthmus_sim.scene import Scene, free_body, joint_motion, legged_scene
from isthmus_sim.scenes.terrain import KINDS, Terrain, TerrainConfig
from isthmus_sim.tasks import make_task

FPS = 10
FLYER = Scene(robot=ROBOTS["crazyflie"], timestep_s=0.002, quantities=free_body("base"))
DOG = legged_scene(ROBOTS["quadruped"])
Image = NDArray[np.uint8]


def straight(duration_s: float = 1.0, *, reference_offset: float = 0.0) -> Motion:
    """A level quadrotor that moves along x at 0.3 m/s, 1 m above the ground; samples every 10 ms."""
    time = np.arange(0.0, duration_s + 0.005, 0.01)
    position = np.stack((0.3 * time, 0 * time, 1 + 0 * time), axis=1)
    level = np.tile((1.0, 0.0, 0.0, 0.0), (len(time), 1))
    reference = position + np.array((0.0, 0.0, reference_offset))
    return Motion(time=time, state={"position": position, "orientation": level}, reference=reference)


def draw(motion: Motion, scene: Scene = FLYER, height: int = 120, **options: float) -> NDArray[np.uint8]:
    with MotionRenderer(scene, width=height * 4 // 3, height=height) as renderer:
        return np.stack([frame.copy() for frame in renderer.frames(motion, fps=FPS, **options)])


def count(frame: Image, *, more: int, than: int) -> int:
    """Pixels whose channel `more` is well above channel `than` and which are no sky (red, green, blue = 0, 1, 2)."""
    values = frame.astype(int)
    return int((values[..., more] - values[..., than] > 90).sum())


# What flies
# ---------------------------------------------------------------------------------------------------------------------
def test_the_robot_is_in_the_middle_of_every_image():
    frames = draw(straight(), past_s=0.0)
    assert frames.shape == (10, 120, 160, 3)
    assert frames.dtype == np.uint8
    for frame in frames:
        red = frame[30:90, 40:120]  # its front rotors
        assert count(red, more=0, than=2) > 40
    assert np.abs(np.diff(frames.astype(int), axis=0)).max() > 50, "the ground moves below it"


def test_trail_and_reference_are_drawn():
    motion = straight(reference_offset=0.08)
    with_lines, without = draw(motion, height=360)[-1], draw(motion, height=360, past_s=0.0, ahead_s=0.0)[-1]
    drawn = np.where(np.abs(with_lines.astype(int) - without).max(-1, keepdims=True) > 20, with_lines, 0)
    assert count(drawn, more=0, than=2) > 40, "orange trail"
    assert count(drawn, more=2, than=0) > 40, "blue reference"


def test_without_a_reference_none_is_drawn():
    motion = straight(reference_offset=0.08)
    plain = dataclasses.replace(motion, reference=None)
    with_it, without = draw(motion, height=360, past_s=0.0)[-1], draw(plain, height=360, past_s=0.0)[-1]
    gone = np.where(np.abs(with_it.astype(int) - without).max(-1, keepdims=True) > 20, with_it, 0)
    assert count(gone, more=2, than=0) > 20, "the blue line and ball"


# What walks
# ---------------------------------------------------------------------------------------------------------------------
def walking(pose: tuple[float, ...], height: float) -> Motion:
    """A quadruped in one pose that glides along x at 0.5 m/s; its reference runs along beside it."""
    time = np.arange(0.0, 1.005, 0.02)
    position = np.stack((0.5 * time, 0 * time, height + 0 * time), axis=1)
    state = {
        "position": position,
        "orientation": np.tile((1.0, 0.0, 0.0, 0.0), (len(time), 1)),
        "joint_position": np.tile(pose, (len(time), 1)),
    }
    return Motion(time=time, state=state, reference=position + np.array((0.0, 0.5, 0.0)))


def test_the_quadruped_is_drawn_in_its_pose_with_its_way_on_the_ground():
    poses = ((quadruped.DEFAULT_POSE, quadruped.STAND_HEIGHT), (quadruped.PRONE_POSE, 0.06))
    stands, lies = (draw(walking(pose, height), DOG, 360)[-1] for pose, height in poses)
    assert np.abs(stands.astype(int) - lies)[120:300, 160:320].max() > 100, "another pose is another image"
    assert count(stands, more=2, than=0) > 100, "the reference, beside the robot"
    trail = count(stands[200:], more=0, than=2)
    assert trail > count(stands[:100], more=0, than=2), "its way is on the ground, below it"


def test_a_terrain_takes_the_place_of_the_flat_ground():
    terrain = Terrain(TerrainConfig(levels=1, tile=3.0, border=1.0))
    kind = torch.tensor([KINDS.index("steps down")])
    place = terrain.origin(torch.tensor([0]), kind)[0].double().numpy()
    motion = walking(quadruped.DEFAULT_POSE, quadruped.STAND_HEIGHT)
    position = motion.state["position"] + place
    motion = dataclasses.replace(motion, state={**motion.state, "position": position}, reference=position)
    flat, hilly = (draw(motion, legged_scene(ROBOTS["quadruped"], ground))[0].astype(int) for ground in (None, terrain))
    assert np.abs(flat - hilly).max() > 60
    # The blue way is drawn on the ground, 1 cm above it, and not in it.
    assert count(hilly.astype(np.uint8), more=2, than=0) > 20


# What is moved
# ---------------------------------------------------------------------------------------------------------------------
def posed(name: str, **state: tuple[float, ...]) -> mujoco.MjData:
    """The scene of a task, with everything where `state` has it and the rest at zero."""
    scene = make_task(name).scene
    model = scene_spec(scene, looks=True).compile()
    poser, data = Poser(scene, model), mujoco.MjData(model)
    zeros = {q.name: np.zeros(q.shape) for q in scene.quantities if q.name in poser.names}
    poser.pose(data, zeros | {key: np.array(value) for key, value in state.items()})
    return data


def test_cube_and_zone_are_where_the_state_has_them():
    data = posed("pick_place", cube_position=(0.1, 0.2, 0.3), cube_orientation=(0, 0, 0, 2.0), zone_position=(0.3, 0.4))
    assert data.body("cube").xpos.tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert data.body("cube").xquat.tolist() == pytest.approx([0, 0, 0, 1.0]), "a blend of two quaternions is made one"
    assert data.body("zone").xpos.tolist() == pytest.approx([0.3, 0.4, 0.0])


def test_disc_and_block_are_where_the_state_has_them():
    data = posed("push_t", agent_position=(0.1, -0.2), block_joint_position=(0.05, 0.06, np.pi / 2))
    assert data.body("agent").xpos.tolist() == pytest.approx([0.1, -0.2, 0.0])
    assert data.body("block").xpos.tolist() == pytest.approx([0.05, 0.06, 0.0])
    assert data.body("block").xmat.reshape(3, 3)[:, 0].tolist() == pytest.approx([0.0, 1.0, 0.0])


def test_joints_are_posed_by_name():
    """Two joints of a scene that reads them in another order than the model has them."""
    robot = RobotDescription(name="arm", control_period_s=0.1, signals=(), commands=(), model=lambda looks: _ARM)
    scene = Scene(robot=robot, timestep_s=0.1, quantities=joint_motion(("elbow", "shoulder")))
    model = scene_spec(scene, looks=True).compile()
    data = mujoco.MjData(model)
    Poser(scene, model).pose(data, {"joint_position": np.array((0.25, -0.5))})
    assert data.joint("shoulder").qpos.tolist() == [-0.5]
    assert data.joint("elbow").qpos.tolist() == [0.25]


_ARM = """<mujoco><worldbody><light pos="0 0 2"/><body><joint name="shoulder" axis="0 0 1"/>
  <geom type="capsule" size="0.05" fromto="0 0 0 1 0 0" rgba="1 0 0 1"/><body pos="1 0 0">
  <joint name="elbow" axis="0 0 1"/><geom type="capsule" size="0.05" fromto="0 0 0 1 0 0" rgba="0 0 1 1"/>
  </body></body></worldbody></mujoco>"""


@pytest.mark.parametrize("name", ["pick_place", "push_t", "quadruped", "quadruped-rough", "quadrotor"])
def test_the_states_of_an_engine_can_be_drawn(name: str):
    """Any task can be filmed, and a robot that is fixed is filmed from where it stands."""
    task = make_task(name)
    engine = make_engine(task.scene, 2, "mujoco")
    ids = torch.arange(2)
    start = task.reset(engine, ids, torch.zeros(2, dtype=torch.long), torch.Generator().manual_seed(0))
    states = [engine.advance(None, start)]
    action = torch.rand(5, 2, task.action_size, generator=torch.Generator().manual_seed(1))
    for row in action:
        goal = task.goal(torch.zeros(2, dtype=torch.long), None, torch.Generator())
        memory = {m.name: torch.full((2, *m.shape), m.initial) for m in task.memory}
        states.append(engine.advance(task.act(row, task.sense(states[-1], goal), memory)))
    motion = Motion.of_states(np.arange(6.0) / 5, states)
    assert (base_position(task.scene, motion) is None) == (task.robot.base is None)
    frames = draw(motion, task.scene)
    assert len(frames) == 10
    assert np.abs(frames[0].astype(int) - frames[-1]).max() > 50, "something moves"


def test_a_strangers_robot_is_drawn_by_its_looks():
    """From above, 4 m away: two links that are red and blue, a turn of the elbow later somewhere else."""
    looks = Looks(distance=4.0, azimuth=90.0, elevation=-89.0, turn=0.0)
    robot = RobotDescription(
        name="arm", control_period_s=0.1, signals=(), commands=(), model=lambda looks: _ARM, looks=looks
    )
    scene = Scene(robot=robot, timestep_s=0.1, quantities=joint_motion(("shoulder", "elbow")))
    angles = np.linspace((0.0, 0.0), (0.0, 1.5), 11)
    first, *_, last = draw(Motion(time=np.linspace(0.0, 1.0, 11), state={"joint_position": angles}), scene)
    red = [np.argwhere((frame[..., 0] > 90) & (frame[..., 2] < 40)).mean(0) for frame in (first, last)]
    blue = [np.argwhere((frame[..., 2] > 90) & (frame[..., 0] < 40)).mean(0) for frame in (first, last)]
    assert np.linalg.norm(red[0] - red[1]) < 2, "the camera and the upper arm stay"
    assert blue[0][0] - blue[1][0] > 5, "the forearm has turned up in the image"


# Records
# ---------------------------------------------------------------------------------------------------------------------
def test_a_movement_is_sampled_between_its_samples():
    moments = straight(0.5).at_rate(30)
    assert len(moments.time) == 15
    assert moments.state["position"][:, 0] == pytest.approx(0.3 * moments.time)


def test_a_record_that_lacks_something_says_what():
    with pytest.raises(ValueError, match="orientation"):
        draw(Motion(time=np.array((0.0, 1.0)), state={"position": np.zeros((2, 3))}))


def test_a_robot_without_a_model_says_so():
    scene: Any = Scene(
        robot=RobotDescription(name="cat", control_period_s=0.1, signals=(), commands=()), timestep_s=0.1, quantities=()
    )
    with pytest.raises(ValueError, match="'cat' has no model"):
        MotionRenderer(scene)


def test_without_a_renderer_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(NoRendererError, match="apt-get install libegl1"):
        MotionRenderer(FLYER)
