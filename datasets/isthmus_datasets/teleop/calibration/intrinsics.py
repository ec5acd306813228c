"""How a camera sees: focal length, centre and distortion, from views of the board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.teleop.calibration.board import Corners
from isthmus_datasets.teleop.calibration.error import CalibrationError
from isthmus_datasets.teleop.calibration.pose import moved

MIN_VIEWS = 8
MIN_CORNERS = 6
_SAME_PX = 2.0  # views that differ by less say nothing new, and would make the result look more certain than it is
_MAX_UNCERTAINTY = 0.01  # of the focal length: at 0.5 m that is 5 mm
_FLAT = np.radians(15.0)
_OUTLIER, _OUTLIER_PX = 3.0, 0.5  # times the median of all views, and at least so much


@dataclass(frozen=True, kw_only=True)
class Intrinsics:
    """A pinhole camera with OpenCV's five numbers of distortion.

    Args:
        width, height: Size of the image, px.
        fx, fy: Focal length, px.
        cx, cy: Where the optical axis meets the image, px.
        distortion: k1, k2, p1, p2, k3.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def matrix(self) -> NDArray[np.float64]:
        """(3, 3): OpenCV's camera matrix."""
        return np.array(((self.fx, 0.0, self.cx), (0.0, self.fy, self.cy), (0.0, 0.0, 1.0)))

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) px: where points (n, 3) m in the camera's frame are seen."""
        none = np.zeros(3)
        return np.asarray(
            cv2.projectPoints(points, none, none, self.matrix(), np.array(self.distortion))[0], np.float64
        ).reshape(-1, 2)


@dataclass(frozen=True, kw_only=True)
class IntrinsicsFit:
    """What came of the views.

    Args:
        intrinsics: The camera.
        rms_px: Reprojection error over all corners of the views that were used.
        errors_px: View -> its reprojection error (root mean square); of those that were used.
        refused: View -> why it was not used.
        uncertainty_px: Standard deviations of fx, fy, cx, cy.
    """

    intrinsics: Intrinsics
    rms_px: float
    errors_px: Mapping[str, float]
    refused: Mapping[str, str]
    uncertainty_px: tuple[float, float, float, float]


def fit_intrinsics(views: Mapping[str, Corners], *, width: int, height: int) -> IntrinsicsFit:
    """Calibrate from views (name -> corners) in images of one size, px. Views that are useless or do not fit the
    others are left out, and named with the reason.

    Raises:
        CalibrationError: too few views are left, or they do not determine the camera.
    """
    refused = _useless(views)
    used = [name for name in views if name not in refused]
    while True:
        if len(used) < MIN_VIEWS:
            raise CalibrationError(
                f"only {len(used)} of {len(views)} views can be used, not {MIN_VIEWS}{_why(refused)}"
            )
        fit = _fit([views[name] for name in used], width, height)
        errors = dict(zip(used, fit.errors_px, strict=True))
        worst = max(errors, key=errors.__getitem__)
        limit = max(_OUTLIER * float(np.median(fit.errors_px)), _OUTLIER_PX)
        if errors[worst] <= limit:
            break
        refused[worst] = f"its error is {errors[worst]:.2f} px, the others' median {np.median(fit.errors_px):.2f} px"
        used.remove(worst)
    _check_determined(fit, used, refused)
    sizes = [len(views[name].ids) for name in used]
    rms = float(np.sqrt(np.average(np.square(fit.errors_px), weights=sizes)))
    return IntrinsicsFit(
        intrinsics=fit.intrinsics, rms_px=rms, errors_px=errors, refused=refused, uncertainty_px=fit.uncertainty_px
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fit:
    intrinsics: Intrinsics
    errors_px: list[float]
    uncertainty_px: tuple[float, float, float, float]
    tilts: list[float]  # rad, between the board's and the image's plane


def _fit(views: list[Corners], width: int, height: int) -> _Fit:
    points = [view.points.astype(np.float32) for view in views]
    pixels = [view.pixels.astype(np.float32) for view in views]
    # k3 matters for fish eyes only, and otherwise fits noise.
    _, matrix, distortion, turns, _, deviations, _, errors = cv2.calibrateCameraExtended(
        points, pixels, (width, height), np.eye(3), np.zeros(5), flags=cv2.CALIB_FIX_K3
    )
    k1, k2, p1, p2, k3 = (float(value) for value in distortion.reshape(-1)[:5])
    sx, sy, ux, uy = (float(value) for value in np.asarray(deviations).reshape(-1)[:4])
    return _Fit(
        intrinsics=Intrinsics(
            width=width, height=height, fx=float(matrix[0, 0]), fy=float(matrix[1, 1]), cx=float(matrix[0, 2]),
            cy=float(matrix[1, 2]), distortion=(k1, k2, p1, p2, k3),
        ),
        errors_px=[float(error) for error in np.asarray(errors).reshape(-1)],
        uncertainty_px=(sx, sy, ux, uy),
        tilts=[float(np.arccos(min(1.0, abs(moved(turn, np.zeros(3))[2, 2])))) for turn in turns],
    )  # fmt: skip


def _useless(views: Mapping[str, Corners]) -> dict[str, str]:
    """Views that say nothing, and why."""
    refused: dict[str, str] = {}
    for name, view in views.items():
        problem = unusable(view)
        twin = next((other for other in views if other == name or _same(views[other], view)), name)
        if problem:
            refused[name] = problem
        elif twin != name and twin not in refused:
            refused[name] = f"it is the same view as {twin}"
    return refused


def unusable(view: Corners) -> str:
    """Why the board's pose cannot be told from a view; empty when it can."""
    if len(view.ids) < MIN_CORNERS:
        found = f"{len(view.ids)} corners were found, not {MIN_CORNERS}"
        return f"{found}: is the whole board in sharp view, and the one that its JSON says?"
    flat = np.linalg.svd(view.points[:, :2] - view.points[:, :2].mean(0), compute_uv=False)
    return "all its corners are on one line" if flat[1] < 1e-6 * flat[0] else ""


def _same(a: Corners, b: Corners) -> bool:
    return np.array_equal(a.ids, b.ids) and bool(np.abs(a.pixels - b.pixels).max(initial=0.0) < _SAME_PX)


def _check_determined(fit: _Fit, used: list[str], refused: Mapping[str, str]) -> None:
    focal = (fit.intrinsics.fx, fit.intrinsics.fy)
    share = max(sigma / value for sigma, value in zip(fit.uncertainty_px, focal, strict=False))
    flat = [name for name, tilt in zip(used, fit.tilts, strict=True) if tilt < _FLAT]
    if len(used) - len(flat) >= 3 and share <= _MAX_UNCERTAINTY:
        return
    raise CalibrationError(
        f"the views leave the focal length uncertain by {100 * share:.1f} %: hold the board at more distances and tilt "
        f"it by 30° and more, to all sides; nearly parallel to the image: {', '.join(flat) or 'none'}{_why(refused)}"
    )


def _why(refused: Mapping[str, str]) -> str:
    return "".join(f"\n  {name}: {problem}" for name, problem in refused.items())
