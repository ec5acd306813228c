"""Where a camera is on an arm, or beside it, from views of the board at known poses of the gripper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.teleop.calibration.board import Corners
from isthmus_datasets.teleop.calibration.error import CalibrationError
from isthmus_datasets.teleop.calibration.intrinsics import Intrinsics, unusable
from isthmus_datasets.teleop.calibration.park_martin import least_squares, park_martin
from isthmus_datasets.teleop.calibration.pose import Matrix, Pose, apart, inverse, moved, rotation_vector
from isthmus_datasets.teleop.calibration.sighting import locate_board, reprojection_px

HandEyeMode = Literal["eye-in-hand", "eye-to-hand"]
"""The camera on the gripper and the board fixed, or the camera fixed and the board on the gripper."""

MIN_VIEWS = 5
_OUTLIER, _OUTLIER_M = 3.0, 0.005  # times the median of all views, and at least so much
_MAX_ERROR_M, _MAX_ERROR = 0.01, np.radians(2.0)


@dataclass(frozen=True, kw_only=True)
class HandEye:
    """What came of the views.

    Args:
        mode: What is on the gripper.
        camera: Its pose in the gripper's frame, or the base's for eye-to-hand.
        board: Its pose in the base's frame, or the gripper's for eye-to-hand.
        errors_px: View -> reprojection error if all these poses are right; of those that were used.
        errors_m, errors_rad: View -> how far the board is seen from where it must be.
        refused: View -> why it was not used.
    """

    mode: HandEyeMode
    camera: Pose
    board: Pose
    errors_px: Mapping[str, float]
    errors_m: Mapping[str, float]
    errors_rad: Mapping[str, float]
    refused: Mapping[str, str]


def fit_hand_eye(
    views: Mapping[str, Corners], gripper: Mapping[str, Pose], intrinsics: Intrinsics, mode: HandEyeMode
) -> HandEye:
    """Calibrate from views (name -> corners) and the gripper's pose in the base's frame at each. Views that do not fit
    the others are left out, and named with the reason.

    The first guess is Park and Martin's; then both poses are moved to where the reprojection error is least.

    Raises:
        CalibrationError: a view has no pose, too few are left, the gripper turned too little, or they contradict each
            other.
    """
    _check_names(views, gripper)
    refused = {name: problem for name, view in views.items() if (problem := unusable(view))}
    used = [name for name in views if name not in refused]
    while True:
        if len(used) < MIN_VIEWS:
            why = "".join(f"\n  {name}: {problem}" for name, problem in refused.items())
            raise CalibrationError(f"only {len(used)} of {len(views)} views can be used, not {MIN_VIEWS}{why}")
        fit = _Fit([views[name] for name in used], [gripper[name] for name in used], intrinsics, mode)
        fit.solve()
        errors = dict(zip(used, fit.errors(), strict=True))
        _check_agreement(errors)
        median = float(np.median([error.position_m for error in errors.values()]))
        worst = max(errors, key=lambda name: errors[name].position_m)
        if errors[worst].position_m <= max(_OUTLIER * median, _OUTLIER_M):
            break
        refused[worst] = (
            f"the board is {1e3 * errors[worst].position_m:.1f} mm off, the median is {1e3 * median:.1f} mm"
        )
        used.remove(worst)
    return HandEye(
        mode=mode,
        camera=Pose.of(fit.camera),
        board=Pose.of(fit.board),
        errors_px={name: error.pixels for name, error in errors.items()},
        errors_m={name: error.position_m for name, error in errors.items()},
        errors_rad={name: error.turn for name, error in errors.items()},
        refused=refused,
    )


@dataclass(frozen=True, kw_only=True)
class _Error:
    pixels: float
    position_m: float
    turn: float


class _Fit:
    """The chain is the same in both modes: holder X camera = Z, where `holder` takes the frame that holds the camera to
    the one that holds the board, X (`camera`) is the camera in the former, Z (`board`) the board in the latter."""

    def __init__(self, views: list[Corners], gripper: list[Pose], intrinsics: Intrinsics, mode: HandEyeMode) -> None:
        self._views, self._intrinsics = views, intrinsics
        poses = [pose.matrix() for pose in gripper]
        self._holder = poses if mode == "eye-in-hand" else [inverse(pose) for pose in poses]
        self._seen = [locate_board(view, intrinsics) for view in views]
        self.camera = self.board = np.eye(4)

    def solve(self) -> None:
        """Find both poses."""
        self.camera = park_martin(self._holder, self._seen)
        boards = [holder @ self.camera @ seen for holder, seen in zip(self._holder, self._seen, strict=True)]
        self.board = boards[0]
        self.board[:3, 3] = np.mean([board[:3, 3] for board in boards], axis=0)
        start = np.concatenate([np.concatenate((rotation_vector(m), m[:3, 3])) for m in (self.camera, self.board)])
        self.camera, self.board = _both(least_squares(self._residuals, start))

    def _expected(self, camera: Matrix, board: Matrix) -> list[Matrix]:
        """The board in the camera's frame at each view."""
        return [inverse(camera) @ inverse(holder) @ board for holder in self._holder]

    def _residuals(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """All reprojection errors, px."""
        return np.concatenate([
            (self._intrinsics.project(view.points @ board[:3, :3].T + board[:3, 3]) - view.pixels).reshape(-1)
            for view, board in zip(self._views, self._expected(*_both(x)), strict=True)
        ])  # fmt: skip

    def errors(self) -> list[_Error]:
        """The errors of each view."""
        errors = []
        for view, seen, board in zip(self._views, self._seen, self._expected(self.camera, self.board), strict=True):
            position_m, turn = apart(seen, board)
            pixels = reprojection_px(view, self._intrinsics, board)
            errors.append(_Error(pixels=pixels, position_m=position_m, turn=turn))
        return errors


def _both(x: NDArray[np.float64]) -> tuple[Matrix, Matrix]:
    return moved(x[0:3], x[3:6]), moved(x[6:9], x[9:12])


def _check_names(views: Mapping[str, Corners], gripper: Mapping[str, Pose]) -> None:
    lacking = sorted(set(views) - set(gripper))
    if lacking:
        raise CalibrationError(f"no pose of the gripper for {', '.join(lacking)}")


def _check_agreement(errors: Mapping[str, _Error]) -> None:
    position_m = float(np.median([error.position_m for error in errors.values()]))
    turn = float(np.median([error.turn for error in errors.values()]))
    if position_m > _MAX_ERROR_M or turn > _MAX_ERROR:
        lines = "".join(f"\n  {n}: {1e3 * e.position_m:.1f} mm, {np.degrees(e.turn):.1f}°" for n, e in errors.items())
        raise CalibrationError(
            f"views and poses contradict each other by {1e3 * position_m:.0f} mm and {np.degrees(turn):.1f}° (median): "
            "do they belong together, are poses the gripper's in the base's frame (m, wxyz), did the arm stand still, "
            f"is it really this mode, and are the board's squares as long as it says?{lines}"
        )
