"""What cameras see of a simulated world: where the model or a calibration has them, changed at random or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.teleop.calibration.camera_calibration import CameraCalibration
from isthmus_datasets.teleop.calibration.error import CalibrationError
from isthmus_sim.engine import UnsupportedError
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.env import Env
from isthmus_sim.rendering.cameras import Placement, WorldCameras
from isthmus_sim.rendering.image_randomization import ImageRandomization, randomize

Placements = Mapping[str, Placement]
Images = dict[str, NDArray[np.uint8]]


class View(Protocol):
    """What cameras see of a world."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, int]]:
        """Camera -> (height, width) of its images."""
        ...

    def images(self) -> Images:
        """Camera -> (height, width, 3) RGB of how things are now."""
        ...

    def close(self) -> None:
        """Release what draws."""
        ...


def placements(calibrations: Iterable[Path]) -> dict[str, Placement]:
    """Where the real cameras are, from files of `isthmus-calibrate`; raises CalibrationError for one without a pose.

    A pose in the base's frame is that of a camera in the world, one in the gripper's of a camera at the wrist: the
    gripper is the body `wrist_roll` of the arm.
    """
    found = {}
    for path in calibrations:
        calibration = CameraCalibration.load(path)
        if calibration.pose is None:
            raise CalibrationError(f"{path}: the camera has no pose yet: run isthmus-calibrate hand-eye")
        pose, seen = calibration.pose, calibration.intrinsics
        found[calibration.camera] = Placement(
            position=pose.position, wxyz=pose.wxyz, focal=(seen.fx, seen.fy), centre=(seen.cx, seen.cy),
            size=(seen.width, seen.height),
        )  # fmt: skip
    return found


def mujoco_engine(env: Env) -> MujocoEngine:
    """The engine of a world that can be looked at. Raises UnsupportedError where that is not MuJoCo on a CPU."""
    if not isinstance(env.engine, MujocoEngine):
        raise UnsupportedError(f"{type(env.engine).__name__} has no model that can be looked at: take engine 'mujoco'")
    return env.engine


def model_view(env: Env, placed: Placements | None = None) -> WorldCameras:
    """What every camera in the scene's model sees. Raises CalibrationError for a placed one that it has not."""
    engine = mujoco_engine(env)
    names = tuple(engine.model.camera(number).name for number in range(engine.model.ncam))
    check_placed(names, placed or {})
    return WorldCameras(engine, names, placements=placed)


class RandomView:
    """Images as cameras of other make would give them: for each camera drawn anew for every episode, by its seed."""

    def __init__(self, env: Env, view: View, config: ImageRandomization | None = None) -> None:
        self.shapes = view.shapes
        self._env, self._view, self._config = env, view, config or ImageRandomization()

    def images(self) -> Images:
        seed = self._env.generator.initial_seed()
        return {
            name: randomize(image, self._config, np.random.default_rng((seed, number)))
            for number, (name, image) in enumerate(self._view.images().items())
        }

    def close(self) -> None:
        self._view.close()


def check_placed(cameras: Iterable[str], placed: Placements) -> None:
    """Refuse a calibrated camera that is none of `cameras`. Raises CalibrationError."""
    unknown = sorted(set(placed) - set(cameras))
    if unknown:
        there = ", ".join(cameras) or "none that can be placed"
        raise CalibrationError(f"no camera {', '.join(unknown)} here; there are: {there}")
