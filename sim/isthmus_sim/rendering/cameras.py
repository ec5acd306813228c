"""Images of one world of a MuJoCo engine, as the cameras in its model see it, drawn off-screen.

Shadows and multisampling, which cost software rendering most, are off in the models.
"""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.rendering.renderer import open_renderer

Image = NDArray[np.uint8]
Vector = tuple[float, ...]

_HALF_TURN = np.array((0.0, 1.0, 0.0, 0.0))  # about x: from OpenCV's optical frame to MuJoCo's
_SENSOR = 0.01  # m: MuJoCo wants a sensor's size; only its ratio to the focal length counts


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a calibrated camera is and how it maps, without distortion.

    position (3,) m and wxyz (4,): of its optical frame as OpenCV has it (x right in the image, y down, z ahead), in
    the frame of the body that carries the model's camera: for "scene" the world, for "wrist" the gripper. focal (fx,
    fy) and centre (cx, cy) px, of an image of `size` (width, height) px; what is drawn is that whole image at
    whatever size, so that size and what is drawn should have the same ratio of their sides.
    """

    position: Vector
    wxyz: Vector
    focal: tuple[float, float]
    centre: tuple[float, float]
    size: tuple[int, int]

    def put(self, model: mujoco.MjModel, camera: str) -> None:
        """Make the camera of `model` this one. Raises KeyError naming those there are."""
        i, scale = model.camera(camera).id, _SENSOR / self.size[0]
        model.cam_pos[i] = self.position
        mujoco.mju_mulQuat(model.cam_quat[i], np.array(self.wxyz, np.float64), _HALF_TURN)
        model.cam_sensorsize[i] = np.array(self.size) * scale
        # OpenCV counts from the middle of the first pixel; MuJoCo wants the way from centre to the image's middle.
        off = 0.5 * np.array(self.size) - np.array(self.centre) - 0.5
        model.cam_intrinsic[i] = (*np.array(self.focal) * scale, *off * scale)


class WorldCameras:
    """Draws what named cameras of an engine's model see. Holds an OpenGL context, of the thread that made it.

    Args:
        engine: Whose `world` is drawn, with the looks that it has there.
        names: Names of cameras in the model.
        height, width: Size of the images, px.
        placements: name -> where a camera really is, instead of where the model has it.

    Raises:
        KeyError: the model has no such camera; the message names those there are.
        NoRendererError: there is no off-screen OpenGL on this machine.
    """

    def __init__(
        self,
        engine: MujocoEngine,
        names: tuple[str, ...],
        *,
        height: int = 96,
        width: int = 96,
        world: int = 0,
        placements: Mapping[str, Placement] | None = None,
    ) -> None:
        self.shapes = dict.fromkeys(names, (height, width))
        self._batch, self._world, self._placements = engine.batch, world, dict(placements or {})
        self._model, self._data = self._batch.get_model(world), mujoco.MjData(engine.model)
        self._cameras = {name: _fixed(self._model.camera(name).id) for name in names}
        self._renderer = open_renderer(self._model, height, width, 2 * engine.model.ngeom + 100)

    def images(self) -> dict[str, Image]:
        """name -> (height, width, 3) uint8 RGB of how things are now."""
        self._batch.get_model(self._world, self._model)
        for name, placement in self._placements.items():
            placement.put(self._model, name)
        self._batch.get_data(self._world, self._data)
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        return {name: self._draw(camera) for name, camera in self._cameras.items()}

    def _draw(self, camera: mujoco.MjvCamera) -> Image:
        self._renderer.update_scene(self._data, camera)
        return self._renderer.render()

    def close(self) -> None:
        """Release the OpenGL context."""
        self._renderer.close()


def _fixed(number: int) -> mujoco.MjvCamera:
    camera = mujoco.MjvCamera()
    camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, number
    return camera
