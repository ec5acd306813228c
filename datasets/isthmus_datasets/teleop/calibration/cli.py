"""`isthmus-calibrate`: print a board, take images of it, and learn how a camera sees and where it is; or move a
leader arm, and learn what its servos mean."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from isthmus_datasets.recording.cameras.opencv import OpenCVCamera
from isthmus_datasets.recording.operator import DeviceError
from isthmus_datasets.recording.robot import CameraError
from isthmus_datasets.teleop.calibration.board import Board, Corners
from isthmus_datasets.teleop.calibration.camera_calibration import CameraCalibration
from isthmus_datasets.teleop.calibration.error import CalibrationError
from isthmus_datasets.teleop.calibration.hand_eye import HandEyeMode, fit_hand_eye
from isthmus_datasets.teleop.calibration.inputs import is_new, is_still, read_poses, read_views
from isthmus_datasets.teleop.calibration.intrinsics import fit_intrinsics
from isthmus_datasets.teleop.calibration.leader import FitLeader
from isthmus_datasets.teleop.calibration.mujoco_camera import mujoco_camera

_POLL_S = 0.005


@dataclass(frozen=True, kw_only=True)
class MakeBoard:
    """Make a board to print at 100 % ("actual size"), and FILE.json, which says what it is. Glue the print on something
    flat and measure a square; if it is not what FILE.json says, write there what it is."""

    path: Annotated[Path, tyro.conf.Positional]
    """Where to write it: .png or .pdf."""
    board: Annotated[Board, tyro.conf.OmitArgPrefixes] = field(default_factory=Board)
    dpi: int = 300
    """Dots per inch."""

    def run(self, console: Console) -> None:
        printed_m = self.board.print_to(self.path, dpi=self.dpi)
        self.board.save(self.path.with_suffix(".json"))
        width, height = (1e3 * length for length in self.board.size_m)
        console.print(
            f"{self.path}: {width:.0f} × {height:.0f} mm, squares of {1e3 * printed_m:.2f} mm; measure them on the "
            f"print and correct {self.path.with_suffix('.json')}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Images:
    """Take an image whenever the board is seen from somewhere new and stands still. Move it, or the camera, and wait
    for the line that says it was taken."""

    source: Annotated[str, tyro.conf.Positional]
    """Index such as 0, device, URL or video file."""
    board: Annotated[Path, tyro.conf.Positional]
    """JSON beside the board."""
    folder: Annotated[Path, tyro.conf.Positional]
    """Where to put them."""
    count: int = 20
    """How many."""
    patience_s: float = 120.0
    """Give up after so long."""
    width: int | None = None
    """Width of the images, px."""
    height: int | None = None
    """Height of the images, px."""

    def run(self, console: Console) -> None:
        board = Board.load(self.board)
        source = int(self.source) if self.source.isdigit() else self.source
        self.folder.mkdir(parents=True, exist_ok=True)
        taken: list[Corners] = []
        deadline = time.monotonic() + self.patience_s
        with closing(OpenCVCamera("calibrated", source, width=self.width, height=self.height)) as camera:
            last = camera.read()
            view = board.detect(last.pixels)
            while len(taken) < self.count and time.monotonic() < deadline:
                image = camera.read()
                if image is last:
                    time.sleep(_POLL_S)
                    continue
                before, view, last = view, board.detect(image.pixels), image
                if not is_still(view, before) or not all(is_new(view, other) for other in taken):
                    continue
                taken.append(view)
                path = self.folder / f"{len(taken):03d}.png"
                cv2.imwrite(str(path), cv2.cvtColor(image.pixels, cv2.COLOR_RGB2BGR))
                console.print(f"{path}: {len(view.ids)} corners", highlight=False)
        if len(taken) < self.count:
            raise CalibrationError(f"only {len(taken)} images of the board in {self.patience_s:g} s: is it in view?")


@dataclass(frozen=True, kw_only=True)
class FitIntrinsics:
    """Learn how a camera sees from images of the board: 15 and more, from near and far, all over the image, and
    tilted by 30° and more to all sides."""

    images: Annotated[Path, tyro.conf.Positional]
    """Folder of them."""
    board: Annotated[Path, tyro.conf.Positional]
    """JSON beside the board."""
    calibration: Annotated[Path, tyro.conf.Positional]
    """Where to write what was learnt: NAME.json for a camera NAME."""

    def run(self, console: Console) -> None:
        views, (width, height) = read_views(self.images, Board.load(self.board))
        fit = fit_intrinsics(views, width=width, height=height)
        _show(console, fit.refused, ("image", "error px"), {n: (f"{e:.3f}",) for n, e in fit.errors_px.items()})
        CameraCalibration.of(self.calibration.stem, fit).save(self.calibration)
        found, sigma = fit.intrinsics, fit.uncertainty_px
        console.print(
            f"{self.calibration}: {len(fit.errors_px)} images, reprojection {fit.rms_px:.3f} px; focal length "
            f"{found.fx:.1f} ± {sigma[0]:.1f}, {found.fy:.1f} ± {sigma[1]:.1f} px; "
            f"centre {found.cx:.1f} ± {sigma[2]:.1f}, {found.cy:.1f} ± {sigma[3]:.1f} px",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FitHandEye:
    """Learn where a camera is from images of the board at known poses of the gripper: 10 and more, turned by 30° and
    more about two axes."""

    calibration: Annotated[Path, tyro.conf.Positional]
    """What `intrinsics` wrote; the pose is added."""
    images: Annotated[Path, tyro.conf.Positional]
    """Folder of them."""
    poses: Annotated[Path, tyro.conf.Positional]
    """JSON: image's name -> {"position": [x, y, z], "wxyz": [w, x, y, z]}, the gripper in the base's frame, m."""
    board: Annotated[Path, tyro.conf.Positional]
    """JSON beside the board."""
    mode: HandEyeMode = "eye-in-hand"
    """The camera on the gripper and the board fixed, or the other way round."""

    def run(self, console: Console) -> None:
        calibration = CameraCalibration.load(self.calibration)
        views, size = read_views(self.images, Board.load(self.board))
        seen = calibration.intrinsics
        if size != (seen.width, seen.height):
            raise CalibrationError(f"images are {size}, but {self.calibration} is of {(seen.width, seen.height)}")
        fit = fit_hand_eye(views, read_poses(self.poses), seen, self.mode)
        rows = {
            name: (f"{px:.2f}", f"{1e3 * fit.errors_m[name]:.2f}", f"{np.degrees(fit.errors_rad[name]):.2f}")
            for name, px in fit.errors_px.items()
        }
        _show(console, fit.refused, ("image", "error px", "error mm", "error °"), rows)
        placed = calibration.placed(fit)
        placed.save(self.calibration)
        console.print(
            f"{self.calibration}: {placed.camera} in the {placed.frame}'s frame at {_text(fit.camera.position)} m, "
            f"wxyz {_text(fit.camera.wxyz)}; in MuJoCo, in that body:\n{mujoco_camera(placed).mjcf(placed.camera)}",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip


Command = (
    Annotated[MakeBoard, tyro.conf.subcommand("board")]
    | Annotated[Images, tyro.conf.subcommand("images")]
    | Annotated[FitIntrinsics, tyro.conf.subcommand("intrinsics")]
    | Annotated[FitHandEye, tyro.conf.subcommand("hand-eye")]
    | Annotated[FitLeader, tyro.conf.subcommand("leader")]
)


def _show(console: Console, refused: Mapping[str, str], head: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    table = Table(*head)
    for name, cells in rows.items():
        table.add_row(name, *cells)
    console.print(table)
    for name, problem in refused.items():
        console.print(f"[yellow]not used[/] {name}: {problem}", highlight=False)


def _text(numbers: Sequence[float]) -> str:
    return "(" + ", ".join(f"{number:.4f}" for number in numbers) + ")"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a subcommand; ends the process with 1 when nothing could be learnt."""
    command = tyro.cli(Command, prog="isthmus-calibrate", description=__doc__, args=arguments)  # type: ignore[arg-type]
    try:
        command.run(Console())
    except (CalibrationError, CameraError, DeviceError, ValueError, OSError) as error:
        sys.exit(f"isthmus-calibrate: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell says of Ctrl-C


if __name__ == "__main__":
    main()
