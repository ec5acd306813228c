"""What a demonstrated task's cameras see, where they are put and by which camera."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
from contextlib import closing
from functools import partial
from pathlib import Path

import mujoco
import numpy as np
import pytest

from isthmus_datasets.teleop.calibration.camera_calibration import CameraCalibration
from isthmus_datasets.teleop.calibration.error import CalibrationError
from isthmus_datasets.teleop.calibration.intrinsics import Intrinsics
from isthmus_datasets.teleop.calibration.pose import Pose
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.demonstrate.record import main
from isthmus_policies.demonstrate.tasks.pick_place import desk_view
from isthmus_policies.demonstrate.tasks.push_t import PushTView
from isthmus_policies.demonstrate.views import model_view, placements
from isthmus_sim.scenes.desk import desk_mjcf
from isthmus_sim.tasks import make_task


def calibrated(folder: Path, name: str, *, moved_m: float = 0.0) -> Path:
    """The file that calibrating the model's own camera would give, had it been put to the side."""
    model = mujoco.MjModel.from_xml_string(desk_mjcf())
    camera, turned = model.camera(name), np.zeros(4)
    mujoco.mju_mulQuat(turned, camera.quat, np.array((0.0, 1.0, 0.0, 0.0)))  # OpenCV: y down, z ahead
    focal = 48 / math.tan(math.radians(float(camera.fovy[0])) / 2)
    position = np.array(camera.pos) + np.array((0.0, moved_m, 0.0))
    calibration = CameraCalibration(
        camera=name,
        intrinsics=Intrinsics(width=96, height=96, fx=focal, fy=focal, cx=47.5, cy=47.5),
        reprojection_px=0.1,
        frame="base",
        pose=Pose(position=tuple(position.tolist()), wxyz=tuple(turned.tolist())),  # pyright: ignore
        pose_error_m=0.0,
    )
    calibration.save(folder / f"{name}.json")
    return folder / f"{name}.json"


def images(view, seed: int = 3, task: str = "pick_place") -> dict[str, np.ndarray]:
    with closing(EnvRobot(make_task(task), cameras=view)) as robot:
        robot.reset(seed)
        return {name: image.copy() for name, image in robot.observe().images.items()}


def test_a_camera_calibrated_where_the_models_is_sees_the_same(tmp_path):
    own = images(desk_view)
    files = [calibrated(tmp_path, name) for name in ("scene", "wrist")]
    for name, image in images(partial(desk_view, placed=placements(files))).items():
        np.testing.assert_allclose(image.astype(int), own[name].astype(int), atol=2)
    aside = images(partial(desk_view, placed=placements([calibrated(tmp_path, "scene", moved_m=0.03)])))
    assert np.abs(aside["scene"].astype(int) - own["scene"]).mean() > 3, "another place, another image"
    np.testing.assert_array_equal(aside["wrist"], own["wrist"])


def test_cameras_that_cannot_be_placed_are_named(tmp_path):
    path = calibrated(tmp_path, "scene")
    (tmp_path / "top.json").write_text(path.read_text().replace('"camera": "scene"', '"camera": "top"'))
    with pytest.raises(CalibrationError, match="no camera top here; there are: scene, wrist"):
        images(partial(desk_view, placed=placements([tmp_path / "top.json"])))
    with pytest.raises(CalibrationError, match="no camera scene here; there are: none that can be placed"):
        images(partial(PushTView, placed=placements([path])), task="push_t")
    with pytest.raises(SystemExit, match="isthmus-record: no camera scene here"):
        main(["push_t", str(tmp_path / "dataset"), "--episodes", "1", "--calibration", str(path)])
    assert not (tmp_path / "dataset").exists()


def test_a_random_camera_is_the_same_for_the_same_episode_only():
    """Where the task varies how desks look; what the model's cameras see there is what it was made from."""
    first, again, other = (images(desk_view, seed, "pick_place-randomized") for seed in (3, 3, 4))
    plain, plain_other = (images(model_view, seed, "pick_place-randomized") for seed in (3, 4))
    for name in ("scene", "wrist"):
        np.testing.assert_array_equal(first[name], again[name])
        changes = [
            changed[name] - as_it_is[name].astype(int) for changed, as_it_is in ((first, plain), (other, plain_other))
        ]
        assert all(np.abs(change).mean() > 1 for change in changes)
        assert not np.array_equal(changes[0], changes[1])
