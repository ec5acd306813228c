"""What people bring to a calibration: images and poses, in files or from a camera."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.teleop.calibration.board import Board, Corners
from isthmus_datasets.teleop.calibration.camera_calibration import read_pose
from isthmus_datasets.teleop.calibration.error import CalibrationError
from isthmus_datasets.teleop.calibration.intrinsics import unusable
from isthmus_datasets.teleop.calibration.pose import Pose

_KINDS = (".png", ".jpg", ".jpeg", ".bmp")
_STILL_PX = 1.0  # from one image to the next: what moves more is blurred, or its pose is another's


def is_new(view: Corners, other: Corners) -> bool:
    """Whether the board has moved by a tenth of its size in the image, or another part of it is seen."""
    both, mine, theirs = np.intersect1d(view.ids, other.ids, return_indices=True)
    if len(both) < 4:
        return True
    size = float(np.linalg.norm(np.ptp(other.pixels, axis=0)))
    return bool(np.abs(view.pixels[mine] - other.pixels[theirs]).max() > 0.1 * size)


def is_still(view: Corners, before: Corners) -> bool:
    """Whether the board is seen well enough, and where it was in the image before."""
    if unusable(view) or not np.array_equal(view.ids, before.ids):
        return False
    return bool(np.abs(view.pixels - before.pixels).max() < _STILL_PX)


def read_views(folder: Path, board: Board) -> tuple[dict[str, Corners], tuple[int, int]]:
    """File name -> corners, and the images' (width, height)."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _KINDS)
    if not paths:
        raise CalibrationError(f"{folder} has no images ({', '.join(_KINDS)})")
    images = {path.name: _read(path) for path in paths}
    sizes = {image.shape[1::-1]: name for name, image in images.items()}
    if len(sizes) > 1:
        raise CalibrationError(f"images differ in size: {', '.join(f'{n} is {s}' for s, n in sizes.items())}")
    return {name: board.detect(image) for name, image in images.items()}, next(iter(sizes))


def _read(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise CalibrationError(f"{path} is not an image that can be read")
    return np.asarray(image, np.uint8)


def read_poses(path: Path) -> dict[str, Pose]:
    """The gripper's poses in the base's frame, by image. Raises CalibrationError naming file and image, OSError."""
    try:
        document: Any = json.loads(path.read_text())
        if not isinstance(document, dict):
            raise ValueError("it must be image -> pose")
    except ValueError as error:
        raise CalibrationError(f"{path}: {error}") from error
    poses = {}
    for name, pose in document.items():
        try:
            poses[name] = read_pose(pose)
        except ValueError as error:
            raise CalibrationError(f"{path}: {name}: {error}") from error
    return poses
