"""A camera's calibration as a JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from isthmus_datasets.format.files import replace_file
from isthmus_datasets.teleop.calibration.error import CalibrationError
from isthmus_datasets.teleop.calibration.hand_eye import HandEye
from isthmus_datasets.teleop.calibration.intrinsics import Intrinsics, IntrinsicsFit
from isthmus_datasets.teleop.calibration.pose import Pose

VERSION = 1
_FORMAT = "isthmus_camera_calibration"
_UNITS = {"intrinsics": "px", "reprojection_px": "px", "position": "m", "wxyz": "1", "pose_error_m": "m"}
ReferenceFrame = Literal["gripper", "base"]


@dataclass(frozen=True, kw_only=True)
class CameraCalibration:
    """The calibration of one camera.

    Args:
        camera: Its name.
        intrinsics: How it sees.
        reprojection_px: Root mean square of the intrinsics' views.
        frame: What the pose is in; None where there is no pose yet, as for the next two.
        pose: The pose of the camera's frame (OpenCV's: z where it looks, y down) in that frame.
        pose_error_m: How far the board was seen from where it had to be, median of the views.
    """

    camera: str
    intrinsics: Intrinsics
    reprojection_px: float
    frame: ReferenceFrame | None = None
    pose: Pose | None = None
    pose_error_m: float | None = None

    @classmethod
    def of(cls, camera: str, fit: IntrinsicsFit) -> CameraCalibration:
        """The calibration of a camera that is not placed yet."""
        return cls(camera=camera, intrinsics=fit.intrinsics, reprojection_px=fit.rms_px)

    def placed(self, fit: HandEye) -> CameraCalibration:
        """The same camera, placed."""
        error_m = sorted(fit.errors_m.values())[len(fit.errors_m) // 2]
        frame: ReferenceFrame = "gripper" if fit.mode == "eye-in-hand" else "base"
        return replace(self, frame=frame, pose=fit.camera, pose_error_m=error_m)

    def to_json(self) -> str:
        """What `from_json` reads back to an equal object."""
        document = {"format": _FORMAT, "version": VERSION, "units": _UNITS, **asdict(self)}
        return json.dumps(document, indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> CameraCalibration:
        """Read what `to_json` wrote. Raises CalibrationError: it is not that, or of a newer version."""
        try:
            document = json.loads(text)
            _check_head(document)
            body = {name: value for name, value in document.items() if name not in ("format", "version", "units")}
            intrinsics, pose = body.pop("intrinsics"), body.pop("pose")
            distortion = _numbers("intrinsics.distortion", intrinsics.pop("distortion"), 5)
            _numbers("intrinsics", list(intrinsics.values()), 6)
            _numbers("reprojection_px", [body["reprojection_px"]], 1)
            return cls(
                intrinsics=Intrinsics(**intrinsics, distortion=distortion),
                pose=None if pose is None else read_pose(pose),
                **body,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else error
            raise CalibrationError(f"not a camera's calibration: {reason}") from error

    def save(self, path: Path) -> None:
        """Write it beside its name and rename it."""
        replace_file(path, self.to_json().encode())

    @classmethod
    def load(cls, path: Path) -> CameraCalibration:
        """Raises CalibrationError naming the file, OSError."""
        try:
            return cls.from_json(path.read_text())
        except ValueError as error:
            raise CalibrationError(f"{path}: {error}") from error


def read_pose(document: Mapping[str, Any]) -> Pose:
    """From {"position": [x, y, z], "wxyz": [w, x, y, z]}. Raises ValueError when it is not that."""
    if not isinstance(document, dict) or set(document) != {"position", "wxyz"}:
        raise ValueError(f'a pose is {{"position": [x, y, z], "wxyz": [w, x, y, z]}}, not {document}')
    return Pose(
        position=_numbers("position", document["position"], 3), wxyz=_numbers("wxyz", document["wxyz"], 4)
    )  # fmt: skip


def _check_head(document: Any) -> None:
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise ValueError(f"its format is not {_FORMAT!r}")
    version = document.get("version")
    if version != VERSION:
        raise ValueError(f"it is of version {version}, this program knows {VERSION}: update isthmus")
    if document.get("units") != _UNITS:
        raise ValueError(f"its units are {document.get('units')}, not {_UNITS}")


def _numbers(name: str, values: Any, count: int) -> Any:
    fine = isinstance(values, list) and len(values) == count and all(_finite(value) for value in values)
    if not fine:
        raise ValueError(f"{name} must be {count} finite numbers, not {values}")
    return tuple(values)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
