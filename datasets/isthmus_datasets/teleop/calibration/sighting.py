"""Where the board is, from one view."""

from __future__ import annotations

import cv2
import numpy as np

from isthmus_datasets.teleop.calibration.board import Corners
from isthmus_datasets.teleop.calibration.error import CalibrationError
from isthmus_datasets.teleop.calibration.intrinsics import Intrinsics, unusable
from isthmus_datasets.teleop.calibration.pose import Matrix, moved


def locate_board(view: Corners, intrinsics: Intrinsics) -> Matrix:
    """(4, 4): the board's pose in the camera's frame, with the least reprojection error.

    Raises:
        CalibrationError: there are too few corners, or all on one line.
    """
    problem = unusable(view)
    if problem:
        raise CalibrationError(problem)
    camera = intrinsics.matrix(), np.array(intrinsics.distortion)
    # A plane can be seen in two ways, of which the better is the first.
    _, turns, positions, _ = cv2.solvePnPGeneric(view.points, view.pixels, *camera, flags=cv2.SOLVEPNP_IPPE)
    turn, position = cv2.solvePnPRefineLM(view.points, view.pixels, *camera, turns[0], positions[0])
    return moved(turn, position)


def reprojection_px(view: Corners, intrinsics: Intrinsics, board: Matrix) -> float:
    """Root mean square over the corners, if the board's pose in the camera's frame is `board` (4, 4)."""
    points = view.points @ board[:3, :3].T + board[:3, 3]
    return float(np.sqrt(np.mean(np.sum((intrinsics.project(points) - view.pixels) ** 2, axis=1))))
