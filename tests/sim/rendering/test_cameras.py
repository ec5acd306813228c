"""Cameras: where a point is in the image, by hand; whose world is drawn; that what is drawn repeats."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing

import mujoco
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from isthmus_sim.engine import Resets
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.env import Env
from isthmus_sim.rendering.cameras import Placement, WorldCameras
from isthmus_sim.rendering.offscreen import available_backend
from isthmus_sim.robots.so101.description import ROBOT
from isthmus_sim.scenes.desk import CAMERAS, desk_scene
from isthmus_sim.tasks import make_task

pytestmark = pytest.mark.skipif(available_backend() is None, reason="no off-screen OpenGL on this machine")

SCENE = desk_scene(ROBOT)
ABOVE = Placement(
    position=(0.2, 0.25, 0.5), wxyz=(0.0, 1.0, 0.0, 0.0), focal=(300.0, 240.0), centre=(170.0, 100.0), size=(320, 240)
)
"""Half a meter above the table, looking down, right in the image is x: half a turn about x from the world's frame."""


@pytest.fixture
def worlds() -> Iterator[Env]:
    """Two worlds of different looks, just begun."""
    env = Env(make_task("pick_place-randomized"), MujocoEngine(SCENE, 2), seed=0)
    env.reset()
    yield env
    env.close()


def seen(engine: MujocoEngine, name: str, **options) -> NDArray[np.uint8]:
    with closing(WorldCameras(engine, (name,), **options)) as cameras:
        return cameras.images()[name]


def middle(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(2,) px, x and y: of what is pure green, counted from the middle of the first pixel."""
    rows, columns = np.nonzero((image[..., 1] > 60) & (image[..., 0] < 20) & (image[..., 2] < 20))
    return np.array((columns.mean(), rows.mean()))


def with_green_cube(place: tuple[float, float, float]) -> MujocoEngine:
    """A world whose cube, 1 cm, is all that is green."""
    engine = MujocoEngine(SCENE, 1)
    colors = {f"{name}_rgb": torch.tensor([[0.6, 0.5, 0.6]]) for name in ("zone", "table", "floor")}
    params = colors | {"cube_edge": torch.tensor([[0.01]]), "cube_rgb": torch.tensor([[0.0, 1.0, 0.0]])}
    start = {"cube_position": torch.tensor([place])}
    engine.advance(None, Resets(ids=torch.tensor([0]), state=start, params=params))
    return engine


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((0.2, 0.25, 0.0), (170.0, 100.0)),  # straight below: at the centre
        # 10 cm to the right, half a meter off but for the zone's 1 mm; y is up in the image.
        ((0.3, 0.25, 0.0), (170.0 + 300 * 0.1 / 0.499, 100.0)),
        ((0.2, 0.31, 0.0), (170.0, 100.0 - 240 * 0.06 / 0.499)),
        ((0.25, 0.15, 0.1), (170.0 + 300 * 0.05 / 0.399, 100.0 + 240 * 0.1 / 0.399)),
    ],
)
def test_a_calibrated_camera_sees_a_point_where_its_intrinsics_say(
    place: tuple[float, float, float], expected: tuple[float, float]
):
    """The middle of the zone, drawn three times as large, to see it finely."""
    engine = MujocoEngine(SCENE, 1)
    green = {"zone_rgb": torch.tensor([[0.0, 1.0, 0.0]])}
    engine.advance(None, Resets(ids=torch.tensor([0]), state={}, params=green))
    engine.mocap[0, 0] = torch.tensor(place)
    image = seen(engine, "scene", height=720, width=960, placements={"scene": ABOVE})
    np.testing.assert_allclose((middle(image) + 0.5) / 3 - 0.5, expected, atol=0.1)


def test_the_same_camera_at_another_size_sees_the_same():
    engine = with_green_cube((0.25, 0.3, 0.005))
    large, small = (
        middle(seen(engine, "scene", height=h, width=w, placements={"scene": ABOVE}))
        for h, w in ((240, 320), (120, 160))
    )
    np.testing.assert_allclose(small, (large + 0.5) / 2 - 0.5, atol=0.3)


def test_a_wrist_camera_goes_along_with_the_gripper():
    """Put 5 cm behind the tip, looking out of the gripper, it sees the tip in its middle, wherever that is."""
    ahead = Placement(
        position=(0.05, 0.0, 0.0069),
        wxyz=(0.5, 0.5, 0.5, 0.5),
        focal=(100.0, 100.0),
        centre=(95.5, 95.5),
        size=(192, 192),
    )  # its z along the gripper's x, its x along y, its y along z
    for pan in (0.0, 0.8):
        engine = with_green_cube((0.0, 0.0, 0.0))
        data = mujoco.MjData(engine.model)
        data.qpos[:6] = (pan, 0.2, 0.1, 0.3, 0.0, 0.9)
        mujoco.mj_kinematics(engine.model, data)
        engine.qpos[0, :6] = torch.from_numpy(data.qpos[:6])
        engine.qpos[0, 6:9] = torch.from_numpy(data.site("gripper_tip").xpos)
        image = seen(engine, "wrist", height=192, width=192, placements={"wrist": ahead})
        np.testing.assert_allclose(middle(image), (95.5, 95.5), atol=1.5)


def test_images_are_of_their_world_and_repeat(worlds: Env):
    engine = worlds.engine
    assert isinstance(engine, MujocoEngine)
    with closing(WorldCameras(engine, CAMERAS)) as first, closing(WorldCameras(engine, CAMERAS, world=1)) as second:
        assert first.shapes == {"scene": (96, 96), "wrist": (96, 96)}
        ours, theirs, again = first.images(), second.images(), first.images()
        for name in CAMERAS:
            assert ours[name].shape == (96, 96, 3)
            assert ours[name].dtype == np.uint8
            assert np.array_equal(ours[name], again[name])
            assert np.abs(ours[name].astype(int) - theirs[name]).mean() > 10
        worlds.step(torch.full((2, 6), 0.2))
        assert not np.array_equal(first.images()["wrist"], ours["wrist"]), "the arm has moved"


def test_arm_cube_and_zone_can_be_seen():
    """Most images of the scene show the cube and the zone by their colors; at the wrist both jaws' dark faces."""
    env = Env(make_task("pick_place"), MujocoEngine(SCENE, 1), seed=0)
    assert isinstance(env.engine, MujocoEngine)
    with closing(WorldCameras(env.engine, CAMERAS)) as cameras:
        for _ in range(10):
            env.reset()
            images = {name: image.astype(int) for name, image in cameras.images().items()}
            red, green, blue = np.moveaxis(images["scene"], -1, 0)
            assert 15 < ((red > 2 * green) & (red > 2 * blue)).sum() < 150, "the cube"
            assert 80 < ((green > 1.5 * red) & (green > 1.3 * blue)).sum() < 700, "the zone"
            assert ((red > 150) & (green > 100) & (blue < 60)).sum() > 200, "the arm"
            dark = images["wrist"].max(axis=-1)[40:] < 70
            assert dark[:, :48].sum() > 50, "the fixed jaw"
            assert dark[:, 60:].sum() > 50, "the moving jaw"


def test_a_camera_that_is_not_there_is_named():
    with pytest.raises(KeyError, match="wrist"):
        WorldCameras(MujocoEngine(SCENE, 1), ("rist",))


def test_a_field_of_view_by_hand():
    """The model's own camera: a vertical field of 46°, the table's point at which it looks in the middle."""
    engine = with_green_cube((0.17, 0.0, 0.07))
    np.testing.assert_allclose(middle(seen(engine, "scene", height=192, width=192)), (95.5, 95.5), atol=1.5)
    camera = engine.model.camera("scene")
    away = np.linalg.norm(camera.pos - (0.17, 0.0, 0.07))
    axes = np.zeros(9)
    mujoco.mju_quat2Mat(axes, camera.quat)
    place = np.array((0.17, 0.0, 0.07)) + 0.5 * away * math.tan(math.radians(23)) * axes.reshape(3, 3)[:, 0]
    engine.qpos[0, 6:9] = torch.from_numpy(place)
    np.testing.assert_allclose(middle(seen(engine, "scene", height=192, width=192)), (95.5 + 48, 95.5), atol=1.5)
