"""What the cameras of a demonstrated task see: drawn by MuJoCo or as published, where the model or a calibration has
them, changed at random or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.calibration.calibration import CameraCalibration
from isthmus_datasets.calibration.error import CalibrationError
from isthmus_policies.demonstrate.env_robot import View
from isthmus_sim.cameras import Placement, WorldCameras
from isthmus_sim.engines.mujoco_batch import MujocoWorlds
from isthmus_sim.env import Env
from isthmus_sim.image_randomization import ImageRandomization, randomize
from isthmus_sim.robots.pusher.drawing import picture
from isthmus_sim.robots.so101 import mjcf as so101_mjcf

Placements = Mapping[str, Placement]
Pictures = dict[str, NDArray[np.uint8]]


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


class PushTView:
    """The table of Push-T from above, as its signals have it. It is as published: nothing can be placed elsewhere."""

    shapes = {"scene": (96, 96)}

    def __init__(self, env: Env, placed: Placements | None = None) -> None:
        _check(self.shapes if not placed else {}, placed or {})
        self._env = env

    def pictures(self) -> Pictures:
        signals = self._env.signals
        block = (*signals["block_position"][0].tolist(), float(signals["block_angle"][0]))
        return {"scene": picture(signals["agent_position"][0].tolist(), block)}

    def close(self) -> None:
        pass


def arm_view(env: Env, placed: Placements | None = None) -> WorldCameras:
    """What the arm's cameras see: of the scene and at the wrist. Raises CalibrationError for one that it has not."""
    assert isinstance(env.engine, MujocoWorlds)
    _check(so101_mjcf.CAMERAS, placed or {})
    return WorldCameras(env.engine, so101_mjcf.CAMERAS, placements=placed)


def random_arm_view(env: Env, placed: Placements | None = None) -> RandomView:
    """As `arm_view`, by cameras that differ from episode to episode."""
    return RandomView(env, arm_view(env, placed))


class RandomView:
    """Pictures as cameras of other make would give them: for each camera drawn anew for every episode, by its seed."""

    def __init__(self, env: Env, view: View, config: ImageRandomization | None = None) -> None:
        self.shapes = view.shapes
        self._env, self._view, self._config = env, view, config or ImageRandomization()

    def pictures(self) -> Pictures:
        seed = self._env.generator.initial_seed()
        return {
            name: randomize(picture, self._config, np.random.default_rng((seed, number)))
            for number, (name, picture) in enumerate(self._view.pictures().items())
        }

    def close(self) -> None:
        self._view.close()


def _check(cameras: Iterable[str], placed: Placements) -> None:
    unknown = sorted(set(placed) - set(cameras))
    if unknown:
        there = ", ".join(cameras) or "none that can be placed"
        raise CalibrationError(f"no camera {', '.join(unknown)} here; there are: {there}")
