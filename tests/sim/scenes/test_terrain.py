"""Rough ground: what tasks are told of it is what MuJoCo's robots stand on, and it grows harder level by level."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch

from isthmus_sim.engine import Resets, State
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.engines.mujoco_model import compile_scene
from isthmus_sim.robots.quadruped.description import (
    DEFAULT_POSE,
    FOOT_RADIUS,
    GRAVITY,
    MASS,
    ROBOT,
    STAND_HEIGHT,
)
from isthmus_sim.scene import legged_scene
from isthmus_sim.scenes.terrain import KINDS, Terrain, TerrainConfig


@pytest.fixture(scope="module")
def terrain() -> Terrain:
    return Terrain(TerrainConfig())


def tiles(terrain: Terrain) -> tuple[torch.Tensor, torch.Tensor]:
    """Level and kind of every tile."""
    pairs = torch.cartesian_prod(torch.arange(terrain.config.levels), torch.arange(len(KINDS)))
    return pairs[:, 0], pairs[:, 1]


def tile_heights(terrain: Terrain, level: int, kind: int) -> torch.Tensor:
    """Heights all over the inside of a tile, relative to its middle."""
    origin = terrain.origin(torch.tensor([level]), torch.tensor([kind]))[0]
    axis = torch.linspace(-0.45, 0.45, 61) * terrain.config.tile
    return terrain.height(origin[:2] + torch.cartesian_prod(axis, axis)) - origin[2]


def test_heights_are_where_mujocos_rays_end():
    """On every kind, within the border too."""
    terrain = Terrain(TerrainConfig(levels=2, tile=4.0, border=1.0))
    model = compile_scene(legged_scene(ROBOT, terrain))
    data = mujoco.MjData(model)
    data.qpos[2] = 50.0  # the robot out of the way
    mujoco.mj_forward(model, data)
    half = torch.tensor(terrain.heights.shape).sub(1).mul(0.5 * terrain.config.cell)
    place = (2 * torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) - 1) * (half - 1e-3)
    down, hit = np.array([0.0, 0.0, -1.0]), np.zeros(1, np.int32)
    found = [20.0 - mujoco.mj_ray(model, data, np.array([*xy, 20.0]), down, None, 1, -1, hit) for xy in place.tolist()]
    assert terrain.heights.std() > 0.05
    torch.testing.assert_close(terrain.height(place), torch.tensor(found), rtol=0, atol=1e-3)


def test_beyond_the_edge_is_the_edges_height_and_nowhere_is_no_number(terrain: Terrain):
    found = terrain.height(torch.tensor([[1e6, -1e9], [math.inf, 0.0], [math.nan, 1.0]]))
    assert found[:2].tolist() == [0.0, 0.0]
    assert math.isnan(found[2])


def test_heights_keep_the_shape_of_the_places(terrain: Terrain):
    place = torch.rand(3, 4, 2)
    found = terrain.height(place)
    assert found.shape == (3, 4)
    assert float(found[2, 1]) == float(terrain.height(place[2, 1]))


# Tiles
# ---------------------------------------------------------------------------------------------------------------------
def test_origins_are_the_middles_of_the_tiles_at_the_grounds_height(terrain: Terrain):
    """Rows of levels along x, columns of kinds along y, the whole around the world's origin."""
    origin = terrain.origin(*tiles(terrain)).reshape(terrain.config.levels, len(KINDS), 3)
    torch.testing.assert_close(origin[..., :2].mean((0, 1)), torch.zeros(2), rtol=0, atol=1e-5)
    along, across = origin.diff(dim=0)[..., :2], origin.diff(dim=1)[..., :2]
    torch.testing.assert_close(along, torch.tensor([8.0, 0.0]).expand_as(along))
    torch.testing.assert_close(across, torch.tensor([0.0, 8.0]).expand_as(across))
    torch.testing.assert_close(origin[..., 2], terrain.height(origin[..., :2]))


def test_it_is_flat_where_robots_start(terrain: Terrain):
    """0.6 m around every origin: half a robot and how far from the origin it is put."""
    origin = terrain.origin(*tiles(terrain))
    axis = torch.linspace(-0.6, 0.6, 13)
    around = origin[:, None, :2] + torch.cartesian_prod(axis, axis)
    torch.testing.assert_close(terrain.height(around), origin[:, 2:].expand(-1, 169), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_level_is_rougher_than_the_one_before(terrain: Terrain, kind: str):
    spread = [float(tile_heights(terrain, level, KINDS.index(kind)).std()) for level in range(terrain.config.levels)]
    assert spread == sorted(spread)
    assert 0 < spread[0] < 0.1 * spread[-1]
    assert all(b > 1.05 * a for a, b in itertools.pairwise(spread))


def test_the_kinds_are_what_their_names_say():
    """At the difficulty of the last of 50 levels, 0.99."""
    terrain = Terrain(TerrainConfig(levels=50, tile=6.0, border=0.0, slope=0.4, step=0.15, wave=0.12, rough=0.08))
    heights = {kind: tile_heights(terrain, 49, column) for column, kind in enumerate(KINDS)}
    assert heights["steps up"].min() == 0 < heights["steps up"].max()
    assert heights["steps down"].min() < 0 == heights["steps down"].max()
    assert heights["slope"].max() == pytest.approx(0, abs=1e-6)
    assert float(heights["rough"].abs().max()) == pytest.approx(0.08, rel=0.05)
    assert float(heights["waves"].max()) == pytest.approx(0.12, rel=0.05)
    origin = terrain.origin(torch.tensor([49]), torch.tensor([KINDS.index("slope")]))[0]
    downhill = terrain.height(origin[:2] + torch.tensor([[1.5, 0.0], [2.5, 0.0]]))
    assert float(downhill[0] - downhill[1]) == pytest.approx(0.4 * 0.99, rel=1e-3)
    origin = terrain.origin(torch.tensor([49]), torch.tensor([KINDS.index("steps up")]))[0]
    stairs = terrain.height(origin[:2] + torch.tensor([[0.5, 0.0], [0.95, 0.0], [1.35, 0.0]]))
    torch.testing.assert_close(stairs.diff(), torch.full((2,), 0.15 * 0.99), rtol=1e-3, atol=0)


def test_the_same_seed_is_the_same_ground():
    first, again, other = (Terrain(TerrainConfig(levels=1, tile=4.0, seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(first.heights, again.heights)
    assert not torch.equal(first.heights, other.heights)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"levels": 0}, "levels must be at least 1, got 0"),
        ({"tile": 8.05}, r"tile: 8\.05 m is no whole number of cells of 0\.1 m"),
        ({"border": 0.33}, r"border: 0\.33 m is no whole number of cells of 0\.1 m"),
    ],
)
def test_ground_that_cannot_be_laid_is_refused(config: dict[str, float], message: str):
    with pytest.raises(ValueError, match=message):
        TerrainConfig(**config)  # pyright: ignore[reportArgumentType]


# Robots on it
# ---------------------------------------------------------------------------------------------------------------------
def stand(terrain: Terrain, place: torch.Tensor, steps: int, **params: torch.Tensor) -> State:
    """Robots dropped at `place` (n, 3), so many control periods later."""
    n = len(place)
    engine, pose = MujocoEngine(legged_scene(ROBOT, terrain), n, num_threads=1), torch.tensor(DEFAULT_POSE).repeat(n, 1)
    start = {"position": place + torch.tensor([0.0, 0.0, STAND_HEIGHT + 0.05]), "joint_position": pose}
    state = engine.advance(None, Resets(ids=torch.arange(n), state=start, params=params))
    for _ in range(steps):
        state = engine.advance({"joint_position_target": pose})
    assert not engine.failed().any()
    return state


def test_robots_dropped_on_every_tile_stand_on_it(terrain: Terrain):
    state = stand(terrain, terrain.origin(*tiles(terrain)) + torch.tensor([0.3, -0.3, 0.0]), 50)
    height = state["position"][:, 2] - terrain.height(state["position"][:, :2])
    assert ((height > 0.85 * STAND_HEIGHT) & (height < STAND_HEIGHT)).all()
    feet = state["foot_position"][..., 2] - terrain.height(state["foot_position"][..., :2])
    torch.testing.assert_close(feet, torch.full_like(feet, FOOT_RADIUS), rtol=0, atol=0.005)
    weight = torch.full((len(feet),), MASS * GRAVITY)
    torch.testing.assert_close(state["foot_force"].sum(-1), weight, rtol=0.05, atol=0)


def test_rough_ground_has_each_worlds_friction(terrain: Terrain):
    """On a slope of 0.4·3.5/8 a robot slides at friction 0.05 and stays at 1.5."""
    place = terrain.origin(torch.tensor([3, 3]), torch.tensor([1, 1]))[:, :2] + torch.tensor([2.5, 0.0])
    place = torch.cat((place, terrain.height(place).unsqueeze(-1)), dim=-1)
    state = stand(terrain, place, 40, friction=torch.tensor([[0.05], [1.5]]))
    downhill = state["linear_velocity"][:, 0]
    assert float(downhill[0]) > 0.5
    assert float(downhill[1].abs()) < 0.05


def test_a_model_without_ground_has_no_place_for_terrain(terrain: Terrain):
    scene = replace(legged_scene(ROBOT, terrain), ground="lawn")
    with pytest.raises(ValueError, match="no geom 'lawn' that terrain could replace"):
        compile_scene(scene)
