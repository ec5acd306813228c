"""The desk: what differs from one to the next arrives in the model of its world, and in no other."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest
import torch

from isthmus_sim.engine import Resets, UnsupportedError
from isthmus_sim.engines import make_engine
from isthmus_sim.robots.so101.description import ROBOT
from isthmus_sim.scenes.desk import PATTERNS, desk_scene
from isthmus_sim.scenes.desk_looks import VisualRandomization, draw, rgb

SCENE = desk_scene(ROBOT)
ONE = torch.tensor([1])


def test_parameters_arrive_in_the_model_of_their_world_and_no_other():
    engine = make_engine(SCENE, 2, "mujoco")
    plain = engine.batch.get_model(0)
    params = {
        "cube_edge": torch.tensor([[0.036]]), "cube_rgb": torch.tensor([[0.1, 0.2, 0.3]]),
        "table_pattern": torch.tensor([[2.0]]), "lamp_direction": torch.tensor([[0.0, 0.0, -2.0]]),
        "scene_camera_shift": torch.tensor([[0.0, 0.0, 0.1]]), "scene_camera_zoom": torch.tensor([[0.5]]),
        "wrist_camera_turn": torch.tensor([[0.0, 0.0, math.pi / 2]]),
    }  # fmt: skip
    engine.advance(None, Resets(ids=ONE, state={}, params=params))
    same, other = engine.batch.get_model(0), engine.batch.get_model(1)
    assert np.array_equal(same.geom_rgba, plain.geom_rgba)
    assert other.geom("cube").size.tolist() == pytest.approx([0.018] * 3)
    assert float(other.body("cube").mass[0]) == pytest.approx(700 * 0.036**3)
    assert other.body("cube").inertia.tolist() == pytest.approx([700 * 0.036**5 / 6] * 3)
    assert other.geom("cube").rgba.tolist() == pytest.approx([0.1, 0.2, 0.3, 1.0])
    assert other.geom("table").matid[0] == plain.geom("table").matid[0] + 2
    assert other.light("lamp").dir.tolist() == [0.0, 0.0, -1.0]
    wrist, scene = plain.camera("wrist").id, plain.camera("scene").id
    back = plain.cam_pos[scene] + 0.1 * _axes(plain.cam_quat[scene])[:, 2]
    np.testing.assert_allclose(other.cam_pos[scene], back, atol=1e-6)
    before, after = _axes(plain.cam_quat[wrist]), _axes(other.cam_quat[wrist])
    np.testing.assert_allclose(after[:, 0], before[:, 1], atol=1e-6)  # its right is where its up was
    assert other.cam_fovy[scene] == pytest.approx(0.5 * plain.cam_fovy[scene])


def test_an_unknown_parameter_is_refused_with_the_known():
    with pytest.raises(UnsupportedError, match=r"cube_colour; .* cube_edge, cube_rgb"):
        make_engine(SCENE, 2, "mujoco").advance(
            None, Resets(ids=ONE, state={}, params={"cube_colour": torch.zeros(1, 3)})
        )


def _axes(quaternion: np.ndarray) -> np.ndarray:
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)


def test_colors_by_hand():
    hsv = torch.tensor([[0, 1, 1], [1 / 6, 1, 1], [1 / 3, 1, 0.5], [2 / 3, 0.5, 1], [1, 1, 1], [0.4, 0, 0.7]])
    expected = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0.5, 0], [0.5, 0.5, 1], [1, 0, 0], [0.7, 0.7, 0.7]])
    torch.testing.assert_close(rgb(hsv.float()), expected.float(), atol=1e-6, rtol=0)


def test_looks_are_drawn_within_their_ranges():
    drawn = draw(VisualRandomization(), 2000, torch.Generator().manual_seed(0))
    sizes = {parameter.name: parameter.size for parameter in SCENE.parameters}
    assert set(sizes) - set(drawn) == {"cube_edge"}
    assert {name: value.shape[1] for name, value in drawn.items()} == {name: sizes[name] for name in drawn}
    counts = torch.bincount(drawn["table_pattern"][:, 0].long())
    assert len(counts) == len(PATTERNS)
    assert int(counts.min()) > 400
    for name in ("cube_rgb", "zone_rgb", "table_rgb", "floor_rgb", "lamp_rgb"):
        assert 0 <= float(drawn[name].min()) <= float(drawn[name].max()) <= 1
    assert float((drawn["cube_rgb"] - drawn["zone_rgb"]).norm(dim=-1).min()) > 0.15, "they can be told apart"
    assert float(drawn["lamp_direction"][:, 2].max()) <= -math.cos(0.9) + 1e-6
    shift = drawn["scene_camera_shift"]
    assert float(shift.abs().max()) == pytest.approx(0.015, rel=0.01)
    assert float(shift.mean().abs()) < 1e-3
