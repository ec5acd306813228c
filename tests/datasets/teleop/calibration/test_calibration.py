"""Calibration from rendered boards of known pose: how exact it is, and what it refuses."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from refusals import refused

from isthmus_datasets.teleop.calibration.board import INCH, Board, Corners
from isthmus_datasets.teleop.calibration.camera_calibration import CameraCalibration
from isthmus_datasets.teleop.calibration.error import CalibrationError
from isthmus_datasets.teleop.calibration.hand_eye import fit_hand_eye
from isthmus_datasets.teleop.calibration.intrinsics import Intrinsics, fit_intrinsics
from isthmus_datasets.teleop.calibration.mujoco_camera import mujoco_camera
from isthmus_datasets.teleop.calibration.pose import Pose, apart, inverse, moved
from isthmus_datasets.teleop.calibration.sighting import locate_board, reprojection_px

_names = runpy.run_path(str(Path(__file__).with_name("board_scene.py")))
BOARD, CAMERA, Scene, places, looking = (_names[name] for name in ("BOARD", "CAMERA", "Scene", "places", "looking"))
WORLD_FROM_BOARD = _names["WORLD_FROM_BOARD"]
PLACES = places(20)
MM, DEGREE = 1e-3, np.radians(1.0)
GRIPPER_FROM_CAMERA = moved((0.3, -0.2, 1.1), (0.03, -0.05, 0.07))


@pytest.fixture(scope="module")
def views() -> dict[str, Corners]:
    """What is seen of the board from each of `PLACES`, rendered by MuJoCo."""
    with Scene(PLACES["view00"]) as scene:
        return {name: BOARD.detect(scene.image(place)) for name, place in PLACES.items()}


@pytest.fixture(scope="module")
def fit(views):
    return fit_intrinsics(views, width=640, height=480)


def in_hand(camera=GRIPPER_FROM_CAMERA, names=tuple(PLACES)) -> dict[str, Pose]:
    """The gripper's poses in the world with the camera on it at these places."""
    return {name: Pose.of(PLACES[name] @ inverse(camera)) for name in names}


def test_what_is_calibrated_is_what_was_rendered(views, fit):
    assert fit.rms_px <= 0.5
    assert max(fit.errors_px.values()) <= 0.5
    assert not fit.refused
    errors_mm = [
        apart(WORLD_FROM_BOARD @ inverse(locate_board(view, fit.intrinsics)), PLACES[name])[0] / MM
        for name, view in views.items()
    ]
    focal = max(abs(fit.intrinsics.fx / CAMERA.fx - 1), abs(fit.intrinsics.fy / CAMERA.fy - 1))
    print(
        f"{len(views)} views: reprojection {fit.rms_px:.3f} px (worst view {max(fit.errors_px.values()):.3f}), "
        f"camera position {np.median(errors_mm):.2f} mm (worst {max(errors_mm):.2f}), focal length {100 * focal:.2f} %"
    )
    assert max(errors_mm) <= 2.0
    assert focal < 0.005
    assert abs(fit.intrinsics.cx - CAMERA.cx) < 2.0
    assert abs(fit.intrinsics.cy - CAMERA.cy) < 2.0


@pytest.mark.parametrize("mode", ["eye-in-hand", "eye-to-hand"])
def test_hand_eye(views, fit, mode):
    camera, board, gripper = GRIPPER_FROM_CAMERA, WORLD_FROM_BOARD, in_hand()
    if mode == "eye-to-hand":
        camera, board = moved((2.0, 0.3, 0.1), (0.5, 0.2, 0.6)), moved((0.1, 2.9, 0.1), (0.02, 0.01, 0.1))
        gripper = {
            name: Pose.of(camera @ inverse(place) @ WORLD_FROM_BOARD @ inverse(board)) for name, place in PLACES.items()
        }
    found = fit_hand_eye(views, gripper, fit.intrinsics, mode)
    position, turn = apart(found.camera.matrix(), camera)
    print(f"{mode}: {position / MM:.2f} mm, {turn / DEGREE:.3f} degrees; {max(found.errors_px.values()):.2f} px")
    assert position <= 2 * MM
    assert turn <= 0.2 * DEGREE
    position, turn = apart(found.board.matrix(), board)
    assert position <= 2 * MM
    assert turn <= 0.2 * DEGREE
    assert max(found.errors_px.values()) <= 0.5
    assert max(found.errors_m.values()) <= 2 * MM
    assert not found.refused


def test_a_simulated_camera_where_the_real_one_is_sees_the_same(views, fit):
    found = fit_hand_eye(views, in_hand(), fit.intrinsics, "eye-in-hand")
    name = "view05"
    world_from_camera = in_hand()[name].matrix() @ found.camera.matrix()
    with Scene(world_from_camera, fit.intrinsics) as scene:
        seen = BOARD.detect(scene.image())
    assert seen.ids.tolist() == views[name].ids.tolist()
    apart_px = np.linalg.norm(seen.pixels - views[name].pixels, axis=1)
    print(f"the simulated camera's corners: {apart_px.mean():.2f} px from the real one's, at most {apart_px.max():.2f}")
    assert apart_px.max() <= 0.5


def seen_from(place: np.ndarray, camera: Intrinsics, noise_px: float = 0.0) -> Corners:
    """What a camera at a place sees without any rendering."""
    points = np.array([(x, y, 0.0) for y in range(1, BOARD.rows) for x in range(1, BOARD.columns)]) * BOARD.square_m
    board = inverse(place) @ WORLD_FROM_BOARD
    pixels = camera.project(points @ board[:3, :3].T + board[:3, 3])
    pixels += np.random.default_rng(0).normal(0.0, noise_px, pixels.shape)
    return Corners(ids=np.arange(len(points), dtype=np.int32), pixels=pixels, points=points)


def test_distortion_is_found():
    camera = replace(CAMERA, distortion=(-0.21, 0.08, 0.001, -0.0005, 0.0))
    found = fit_intrinsics({name: seen_from(at, camera, 0.05) for name, at in PLACES.items()}, width=640, height=480)
    assert found.intrinsics.distortion[:4] == pytest.approx(camera.distortion[:4], abs=0.02)
    assert found.intrinsics.fx == pytest.approx(camera.fx, rel=0.003)


def test_useless_views_and_one_that_does_not_fit_are_left_out_and_named(views):
    spoilt = dict(views)
    view = views["view01"]
    spoilt["few"] = Corners(ids=view.ids[:5], pixels=view.pixels[:5], points=view.points[:5])
    row = view.points[:, 1] == view.points[0, 1]
    spoilt["row"] = Corners(ids=view.ids[row], pixels=view.pixels[row], points=view.points[row])
    spoilt["again"] = view
    spoilt["blurred"] = replace(view, pixels=view.pixels + np.random.default_rng(0).normal(0, 4.0, view.pixels.shape))
    found = fit_intrinsics(spoilt, width=640, height=480)
    assert set(found.refused) == {"few", "row", "again", "blurred"}
    assert found.refused["few"].startswith("5 corners were found, not 6")
    assert found.refused["row"] == "all its corners are on one line"
    assert found.refused["again"] == "it is the same view as view01"
    assert "px, the others' median 0.0" in found.refused["blurred"]
    assert set(found.errors_px) == set(views)


def test_too_few_views():
    seven = {name: seen_from(PLACES[name], CAMERA) for name in list(PLACES)[:7]}
    nothing = Corners(ids=np.zeros(0, np.int32), pixels=np.zeros((0, 2)), points=np.zeros((0, 3)))
    with refused("7 of 8 views | 8 | empty: 0 corners", CalibrationError):
        fit_intrinsics(seven | {"empty": nothing}, width=640, height=480)


def test_views_of_a_board_that_is_never_tilted():
    flat = {f"flat{k}": looking((0.02 * k - 0.1, 0.0), 0.4, 0.02, k, 0.1 * k) for k in range(10)}
    with refused("tilt | flat0, flat1", CalibrationError):
        fit_intrinsics({name: seen_from(at, CAMERA, 0.1) for name, at in flat.items()}, width=640, height=480)


def test_a_gripper_that_did_not_turn_or_only_about_one_axis(views):
    straight = {f"p{k}": looking((0.03 * k, 0.0), 0.4, 0.3, 0.0, 0.0) for k in range(-4, 5)}
    rolled = {f"p{k}": looking((0.0, 0.0), 0.4, 0.0, 0.0, 0.25 * k) for k in range(-4, 5)}
    for camera_places in (straight, rolled):
        seen = {name: seen_from(place, CAMERA) for name, place in camera_places.items()}
        gripper = {name: Pose.of(place @ inverse(GRIPPER_FROM_CAMERA)) for name, place in camera_places.items()}
        with refused("30° | two axes", CalibrationError):
            fit_hand_eye(seen, gripper, CAMERA, "eye-in-hand")


def test_a_pose_that_is_wrong_is_left_out_and_named(views, fit):
    gripper = in_hand()
    gripper["view07"] = Pose.of(gripper["view07"].matrix() @ moved((0, 0, 0), (0.03, 0, 0)))
    found = fit_hand_eye(views, gripper, fit.intrinsics, "eye-in-hand")
    assert list(found.refused) == ["view07"]
    assert "mm off, the median is" in found.refused["view07"]
    assert apart(found.camera.matrix(), GRIPPER_FROM_CAMERA)[0] < 2 * MM


def test_poses_that_do_not_belong_to_the_images(views, fit):
    names = list(PLACES)
    shifted = dict(zip(names, [*list(in_hand().values())[1:], in_hand()[names[0]]], strict=True))
    with refused("contradict | view00", CalibrationError):
        fit_hand_eye(views, shifted, fit.intrinsics, "eye-in-hand")
    with refused("contradict", CalibrationError):
        fit_hand_eye(views, in_hand(), fit.intrinsics, "eye-to-hand")
    with refused("view00, view01", CalibrationError):
        fit_hand_eye(views, in_hand(names=names[2:]), fit.intrinsics, "eye-in-hand")


def test_the_printed_board_knows_its_size(tmp_path):
    printed_m = BOARD.print_to(tmp_path / "board.png", dpi=300)
    with Image.open(tmp_path / "board.png") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        seen = BOARD.detect(np.asarray(image))
    assert len(seen.ids) == 24
    assert (seen.pixels[1, 0] - seen.pixels[0, 0]) / 300 * INCH == pytest.approx(printed_m, abs=1e-5)
    assert printed_m == pytest.approx(BOARD.square_m, rel=0.002)
    BOARD.print_to(tmp_path / "board.pdf")
    assert (tmp_path / "board.pdf").read_bytes().startswith(b"%PDF")
    with refused("20 dpi | 35.56 mm", ValueError):
        BOARD.print_to(tmp_path / "coarse.png", dpi=20)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dictionary": "DICT_9X9"}, "'DICT_9X9' | DICT_4X4_50"),
        ({"columns": 2}, "corners"),
        ({"marker_m": 0.04}, "fit"),
        ({"columns": 20, "rows": 20}, "DICT_4X4_50 | 50 markers | 200"),
    ],
)
def test_boards_that_cannot_be(change, told):
    with refused(told, ValueError):
        Board(**change)


def test_an_image_without_a_board():
    assert len(BOARD.detect(np.full((60, 80, 3), 128, np.uint8)).ids) == 0


unit = st.floats(-1.0, 1.0)


@settings(max_examples=30, deadline=None)
@given(st.tuples(unit, unit, unit), st.tuples(unit, unit, unit).filter(lambda t: np.linalg.norm(t) > 0.01))
def test_poses_and_matrices(position, turn):
    matrix = moved(np.pi * np.array(turn) / max(1.0, float(np.linalg.norm(turn))), np.array(position))
    again = Pose.of(matrix).matrix()
    assert np.abs(again - matrix).max() < 1e-7
    assert apart(matrix @ inverse(matrix), np.eye(4)) == pytest.approx((0.0, 0.0), abs=1e-7)


def test_a_quaternion_by_hand():
    quarter = Pose(position=(1.0, 0.0, 0.0), wxyz=(np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)))  # about z
    assert quarter.matrix() @ (1.0, 0.0, 0.0, 1.0) == pytest.approx((1.0, 1.0, 0.0, 1.0))
    with refused("wxyz | 2", ValueError):
        Pose(position=(0.0, 0.0, 0.0), wxyz=(2.0, 0.0, 0.0, 0.0))


@pytest.fixture
def calibration() -> CameraCalibration:
    pose = Pose(position=(0.1, 0.2, 0.3), wxyz=(1.0, 0.0, 0.0, 0.0))
    intrinsics = replace(CAMERA, distortion=(0.1, 0.2, 0.3, 0.4, 0.0))
    return CameraCalibration(
        camera="wrist", intrinsics=intrinsics, reprojection_px=0.2, frame="gripper", pose=pose, pose_error_m=0.001
    )


def test_a_calibration_is_kept(calibration, tmp_path):
    calibration.save(tmp_path / "wrist.json")
    assert CameraCalibration.load(tmp_path / "wrist.json") == calibration
    unplaced = replace(calibration, frame=None, pose=None, pose_error_m=None)
    assert CameraCalibration.from_json(unplaced.to_json()) == unplaced
    with refused("'wrist' | isthmus-calibrate hand-eye", CalibrationError):
        mujoco_camera(unplaced)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"version": 1', '"version": 2', "version 2 | 1 | update isthmus"),
        ('"fx": 605.0', '"fx": "wide"', "intrinsics | 6 finite numbers"),
        ('"fx": 605.0', '"fx": NaN', "intrinsics | 6 finite numbers"),
        ('"fx"', '"f"', "'f'"),
        ('"position": "m"', '"position": "mm"', "units | 'mm'"),
        ('"camera"', '"cam"', "'cam'"),
        ("{", "", "Extra data"),
    ],
)
def test_files_that_are_no_calibration(calibration, tmp_path, old, new, told):
    path = tmp_path / "wrist.json"
    path.write_text(calibration.to_json().replace(old, new, 1))
    with refused(f"wrist.json | {told}", CalibrationError):
        CameraCalibration.load(path)


def test_a_mujoco_camera_looks_along_minus_z(calibration):
    camera = mujoco_camera(calibration)
    assert camera.quat == pytest.approx((0.0, 1.0, 0.0, 0.0)), "half a turn about x"
    assert camera.pos == (0.1, 0.2, 0.3)
    assert camera.principalpixel == (319.5 - 334.0, 239.5 - 228.0)
    assert 'name="wrist"' in camera.mjcf("wrist")


def test_corners_by_opencvs_own_projection():
    """`reprojection_px` by hand: a board seen 3 px to the right everywhere."""
    view = seen_from(PLACES["view03"], CAMERA)
    board = inverse(PLACES["view03"]) @ WORLD_FROM_BOARD
    shifted = replace(view, pixels=view.pixels + np.array((3.0, 0.0)))
    assert reprojection_px(shifted, CAMERA, board) == pytest.approx(3.0)
    turn, position = cv2.Rodrigues(board[:3, :3])[0], board[:3, 3]
    expected = cv2.projectPoints(view.points, turn, position, CAMERA.matrix(), np.zeros(5))[0].reshape(-1, 2)
    assert view.pixels == pytest.approx(expected)
