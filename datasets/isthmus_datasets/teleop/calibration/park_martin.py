"""A X = X B: the pose that two bodies have to each other, from what each of them moved.

F. Park and B. Martin, "Robot sensor calibration: solving AX = XB on the Euclidean group", 1994. OpenCV 5 has no Python
function for it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.teleop.calibration.error import CalibrationError
from isthmus_datasets.teleop.calibration.pose import Matrix, inverse, rotation_vector

_MIN_TURN = np.radians(10.0)  # root mean square, about the second of the axes about which the gripper turned
_MAX_TURN = np.radians(170.0)  # near half a turn the axis has two signs


def park_martin(holder: list[Matrix], seen: list[Matrix]) -> Matrix:
    """The constant X (4, 4) for which holder X seen is the same in all views; each is (4, 4).

    Raises:
        CalibrationError: the holder turned too little between the views to tell.
    """
    motions = [
        (inverse(holder[j]) @ holder[i], seen[j] @ inverse(seen[i])) for i, j in combinations(range(len(holder)), 2)
    ]
    turns = np.array([(rotation_vector(a), rotation_vector(b)) for a, b in motions])  # (n, 2, 3)
    sure = np.linalg.norm(turns, axis=2).max(axis=1) < _MAX_TURN
    _check_turns(turns[sure, 0])
    u, _, v = np.linalg.svd(turns[sure, 0].T @ turns[sure, 1])
    camera = np.eye(4)
    camera[:3, :3] = u @ np.diag((1.0, 1.0, np.linalg.det(u @ v))) @ v
    left = np.concatenate([a[:3, :3] - np.eye(3) for a, _ in motions])
    right = np.concatenate([camera[:3, :3] @ b[:3, 3] - a[:3, 3] for a, b in motions])
    camera[:3, 3] = np.linalg.lstsq(left, right, rcond=None)[0]
    return camera


def _check_turns(turns: NDArray[np.float64]) -> None:
    """turns (n, 3) rad: from view to view."""
    spread = np.linalg.svd(turns, compute_uv=False) / np.sqrt(max(1, len(turns))) if len(turns) else np.zeros(3)
    if spread[1] < _MIN_TURN:
        first, second = np.degrees(spread[:2])
        raise CalibrationError(
            f"between the views the gripper turned by {first:.0f}° about one axis and {second:.0f}° about the others "
            f"(root mean square), {np.degrees(_MIN_TURN):.0f}° are needed: turn it by 30° and more about two axes"
        )


def least_squares(
    residuals: Callable[[NDArray[np.float64]], NDArray[np.float64]], x: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Gauss and Newton's steps from `x` as long as they make the sum of squares smaller."""
    now = residuals(x)
    for _ in range(20):
        jacobian = np.stack(
            [(residuals(x + 1e-6 * e) - residuals(x - 1e-6 * e)) / 2e-6 for e in np.eye(len(x))], axis=1
        )
        following = x - np.linalg.lstsq(jacobian, now, rcond=None)[0]
        then = residuals(following)
        if then @ then >= now @ now * (1 - 1e-9):
            break
        x, now = following, then
    return x
