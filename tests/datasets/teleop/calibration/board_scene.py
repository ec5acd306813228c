"""A ChArUco board on a table in MuJoCo, and images of it from known places."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from types import TracebackType

import cv2
import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus_datasets.teleop.calibration.board import Board
from isthmus_datasets.teleop.calibration.intrinsics import Intrinsics
from isthmus_datasets.teleop.calibration.mujoco_camera import at
from isthmus_datasets.teleop.calibration.pose import Matrix, Pose

BOARD = Board()
CAMERA = Intrinsics(width=640, height=480, fx=605.0, fy=598.0, cx=334.0, cy=228.0)
_WIDTH, _HEIGHT = BOARD.size_m
WORLD_FROM_BOARD = np.array((  # its middle is the origin, and it is read from above
    (1.0, 0.0, 0.0, -_WIDTH / 2), (0.0, -1.0, 0.0, _HEIGHT / 2), (0.0, 0.0, -1.0, 0.0), (0.0, 0.0, 0.0, 1.0),
))  # fmt: skip


def looking(target: ArrayLike, distance: float, tilt: float, heading: float, roll: float) -> Matrix:
    """World from camera: it looks at `target` (2,) m on the table from `distance` m, `tilt` rad off the vertical
    towards `heading` rad, turned by `roll` rad about its axis."""
    back = np.array((np.sin(tilt) * np.cos(heading), np.sin(tilt) * np.sin(heading), np.cos(tilt)))
    side = np.array((-np.sin(heading), np.cos(heading), 0.0))
    pose = np.eye(4)
    x = np.cos(roll) * side + np.sin(roll) * np.cross(back, side)
    pose[:3, :3] = np.stack((x, np.cross(-back, x), -back), axis=1)
    pose[:3, 3] = np.append(target, 0.0) + distance * back
    return pose


def places(count: int, seed: int = 0) -> dict[str, Matrix]:
    """World from camera, all over the board."""
    random = np.random.default_rng(seed)
    return {
        f"view{k:02d}": looking(
            random.uniform((-0.12, -0.1), (0.12, 0.1)), random.uniform(0.32, 0.5), np.radians(random.uniform(8, 45)),
            2 * np.pi * k / count, random.uniform(-0.6, 0.6),
        )
        for k in range(count)
    }  # fmt: skip


class Scene:
    """Draws with software, without shadows. Cameras are those of MJCF that calibrations give."""

    def __init__(self, pose: Matrix, intrinsics: Intrinsics = CAMERA, *, samples: int = 4) -> None:
        png = cv2.imencode(".png", BOARD.image(96))[1].tobytes()
        xml = f"""
        <mujoco>
          <visual>
            <global offwidth="{intrinsics.width}" offheight="{intrinsics.height}"/>
            <quality offsamples="{samples}" shadowsize="0"/> <map znear="0.05"/>
            <headlight ambient="0.9 0.9 0.9" diffuse="0 0 0" specular="0 0 0"/>
          </visual>
          <asset>
            <texture name="board" type="2d" file="board.png"/>
            <material name="board" texture="board" texuniform="false"/>
          </asset>
          <worldbody>
            <geom type="plane" pos="0 0 -0.005" size="2 2 1" rgba="0.75 0.73 0.7 1"/>
            <geom type="plane" pos="0 0 -0.001" size="{_WIDTH / 2 + 0.01} {_HEIGHT / 2 + 0.01} 1" rgba="1 1 1 1"/>
            <geom type="plane" size="{_WIDTH / 2} {_HEIGHT / 2} 1" material="board"/>
            {at(Pose.of(pose), intrinsics).mjcf("camera")}
          </worldbody>
        </mujoco>"""
        self._model = mujoco.MjModel.from_xml_string(xml, {"board.png": png})
        self._data = mujoco.MjData(self._model)
        self._renderer = mujoco.Renderer(self._model, intrinsics.height, intrinsics.width)

    def image(self, pose: Matrix | None = None) -> NDArray[np.uint8]:
        """(H, W, 3) RGB: from where the camera was made, or from `pose` (world from camera)."""
        if pose is not None:
            camera = at(Pose.of(pose), CAMERA)
            self._model.cam_pos[0], self._model.cam_quat[0] = camera.pos, camera.quat
        mujoco.mj_forward(self._model, self._data)
        self._renderer.update_scene(self._data, "camera")
        return self._renderer.render().copy()

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._renderer.close()
