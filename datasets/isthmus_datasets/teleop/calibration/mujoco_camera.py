"""The simulated camera that stands where the real one does and sees as it does."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

from isthmus_datasets.teleop.calibration.camera_calibration import CameraCalibration
from isthmus_datasets.teleop.calibration.error import CalibrationError
from isthmus_datasets.teleop.calibration.intrinsics import Intrinsics
from isthmus_datasets.teleop.calibration.pose import Pose

_TO_MUJOCO = np.diag((1.0, -1.0, -1.0, 1.0))  # MuJoCo's cameras look along -z, with y up
_PIXEL_M = 1e-5  # any: MuJoCo wants a sensor's size beside lengths in pixels


@dataclass(frozen=True, kw_only=True)
class MujocoCamera:
    """Attributes of MJCF's `camera` in the body that the pose is in (the gripper's or the base's).

    It is drawn at `resolution` (width, height), or smaller in the same proportion. MuJoCo draws no distortion: compare
    with real images after `cv2.undistort`.

    Args:
        pos: m.
        quat: wxyz.
        resolution: Width, height, px.
        focalpixel: Horizontal, vertical, px.
        principalpixel: From the optical axis to the image's middle, to the right and down, px.
        sensorsize: Width, height, m.
    """

    pos: tuple[float, float, float]
    quat: tuple[float, float, float, float]
    resolution: tuple[int, int]
    focalpixel: tuple[float, float]
    principalpixel: tuple[float, float]
    sensorsize: tuple[float, float]

    def mjcf(self, name: str) -> str:
        """The element."""
        values = {field: " ".join(f"{value:.10g}" for value in numbers) for field, numbers in vars(self).items()}
        return ElementTree.tostring(ElementTree.Element("camera", {"name": name, **values}), encoding="unicode")


def mujoco_camera(calibration: CameraCalibration) -> MujocoCamera:
    """MuJoCo's counterpart of a calibrated camera. Raises CalibrationError when it was not placed."""
    if calibration.pose is None:
        raise CalibrationError(f"camera {calibration.camera!r} has no pose yet: run isthmus-calibrate hand-eye")
    return at(calibration.pose, calibration.intrinsics)


def at(pose: Pose, intrinsics: Intrinsics) -> MujocoCamera:
    """MuJoCo's counterpart of a camera whose frame has this pose (OpenCV's) in the body's."""
    turned = Pose.of(pose.matrix() @ _TO_MUJOCO)
    width, height = intrinsics.width, intrinsics.height
    return MujocoCamera(
        pos=turned.position,
        quat=turned.wxyz,
        resolution=(width, height),
        focalpixel=(intrinsics.fx, intrinsics.fy),
        principalpixel=((width - 1) / 2 - intrinsics.cx, (height - 1) / 2 - intrinsics.cy),
        sensorsize=(width * _PIXEL_M, height * _PIXEL_M),
    )
