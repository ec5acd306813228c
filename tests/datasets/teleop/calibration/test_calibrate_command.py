"""`isthmus-calibrate` from the board's print to a camera for MuJoCo, as a person goes."""

from __future__ import annotations

import json
import runpy
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from isthmus_datasets.teleop.calibration.camera_calibration import CameraCalibration
from isthmus_datasets.teleop.calibration.cli import main
from isthmus_datasets.teleop.calibration.pose import Pose, apart, inverse, moved

_names = runpy.run_path(str(Path(__file__).with_name("board_scene.py")))
Scene, places = _names["Scene"], _names["places"]
GRIPPER_FROM_CAMERA = moved((0.3, -0.2, 1.1), (0.03, -0.05, 0.07))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """board.json, images/, poses.json and a film of the images: what a person has who did as told."""
    folder = tmp_path_factory.mktemp("calibration")
    main(["board", str(folder / "board.png")])
    (folder / "images").mkdir()
    film = cv2.VideoWriter(str(folder / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (640, 480))
    poses = {}
    with Scene(next(iter(places(14).values()))) as scene:
        for name, place in places(14).items():
            image = cv2.cvtColor(scene.image(place), cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(folder / "images" / f"{name}.png"), image)
            for _ in range(6):
                film.write(image)
            poses[f"{name}.png"] = asdict(Pose.of(place @ inverse(GRIPPER_FROM_CAMERA)))
    film.release()
    (folder / "poses.json").write_text(json.dumps(poses))
    return folder


def words(folder: Path, *names: str) -> list[str]:
    return [str(folder / name) if "." in name or name == "images" else name for name in names]


def failure(arguments: list[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return str(caught.value.code)


def test_from_images_to_a_camera_in_mujoco(folder, capsys):
    main(words(folder, "intrinsics", "images", "board.json", "wrist.json"))
    said = capsys.readouterr().out
    assert "14 images, reprojection 0.0" in said
    assert CameraCalibration.load(folder / "wrist.json").pose is None
    main(words(folder, "hand-eye", "wrist.json", "images", "poses.json", "board.json"))
    assert '<camera name="wrist" pos="0.0' in capsys.readouterr().out
    placed = CameraCalibration.load(folder / "wrist.json")
    assert placed.pose is not None
    assert placed.frame == "gripper"
    position, turn = apart(placed.pose.matrix(), GRIPPER_FROM_CAMERA)
    assert position <= 2e-3
    assert turn <= np.radians(0.2)


def test_images_are_taken_of_what_is_new(folder, tmp_path, capsys):
    main(["images", *words(folder, "film.avi", "board.json"), str(tmp_path / "taken"), "--count", "4"])
    assert sorted(path.name for path in (tmp_path / "taken").iterdir()) == ["001.png", "002.png", "003.png", "004.png"]
    assert len({path.read_bytes() for path in (tmp_path / "taken").iterdir()}) == 4, "each view is shown six times"
    said = failure(["images", *words(folder, "missing.avi", "board.json"), str(tmp_path / "none")])
    assert "isthmus-calibrate: camera 'calibrated': cannot open" in said


def test_what_is_wrong_is_said(folder, tmp_path):
    (tmp_path / "poses.json").write_text('{"view00.png": {"position": [1, 2], "wxyz": [1, 0, 0, 0]}}')
    (tmp_path / "board.json").write_text('{"columns": 7}')
    main(words(folder, "intrinsics", "images", "board.json", "other.json"))
    other = words(folder, "hand-eye", "other.json", "images")
    said = failure([*other, str(tmp_path / "poses.json"), str(folder / "board.json")])
    assert "poses.json: view00.png: position must be 3 finite numbers, not [1, 2]" in said
    said = failure([*other, str(folder / "poses.json"), str(tmp_path / "board.json")])
    assert "board.json is no board: it must have columns, dictionary, marker_m, rows, square_m" in said
    main(["board", str(tmp_path / "turned.png"), "--columns", "5", "--rows", "7"])
    said = failure([*words(folder, "intrinsics", "images"), str(tmp_path / "turned.json"), str(tmp_path / "x.json")])
    assert "view00.png: 0 corners were found, not 6: is the whole board in sharp view, and the one that its" in said
    (tmp_path / "turned.png").unlink()
    board = json.loads((folder / "board.json").read_text())
    for name, wrong in (("columns", 7.5), ("rows", "5"), ("square_m", "35 mm"), ("dictionary", 4)):
        (tmp_path / "board.json").write_text(json.dumps({**board, name: wrong}))
        said = failure([*other, str(folder / "poses.json"), str(tmp_path / "board.json")])
        assert f"board.json is no board: {name} must be a" in said
        assert said.endswith(f"not {wrong!r}")
    said = failure(["intrinsics", str(tmp_path), str(folder / "board.json"), str(tmp_path / "x.json")])
    assert "has no images (.png" in said
    (tmp_path / "a.png").write_bytes(b"not an image")
    said = failure(["intrinsics", str(tmp_path), str(folder / "board.json"), str(tmp_path / "x.json")])
    assert "a.png is not an image that can be read" in said
