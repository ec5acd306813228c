"""Images of recorded movements, drawn off-screen: the robot in its scene, where it was, and where it should be."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray

from isthmus_sim.engines.mujoco_model import scene_spec
from isthmus_sim.rendering.motion import Motion, Vector
from isthmus_sim.rendering.pose import Poser
from isthmus_sim.rendering.renderer import open_renderer
from isthmus_sim.scene import Scene

Frame = NDArray[np.uint8]

FLOWN = (0.95, 0.40, 0.06)
REFERENCE = (0.16, 0.42, 0.80)
_SHADOW = (0.0, 0.0, 0.0, 0.22)
_LINES = 2000  # pieces of lines, at most
_STRIDE = 2  # samples per piece of a line: twice as fast to draw, and still round
_LIFT_M = 0.01  # of what is drawn on the ground, to be seen above it
_SMOOTHING_S = 0.35  # of the camera's path: the robot moves in the image, the image does not shake


def base_position(scene: Scene, motion: Motion) -> Vector | None:
    """(t, 3) m, world: where the robot's free base was; None for a robot that is fixed or whose base is not read."""
    base = (scene.robot.base,)
    name = next((q.name for q in scene.quantities if q.kind == "position" and q.of == base), None)
    return None if name is None else motion.state[name]


class MotionRenderer:
    """Draws a scene as it moves; the camera follows the robot's base, or looks at the middle of a scene whose robot is
    fixed (the `center` of the model's statistics). A context manager: it holds an OpenGL context.

    Args:
        scene: What to draw, with its robot's looks.
        width, height: Size of the images, in pixels.

    Raises:
        NoRendererError: there is no off-screen OpenGL on this machine.
        ValueError: the scene has no model.
    """

    def __init__(self, scene: Scene, *, width: int = 640, height: int = 480) -> None:
        self._scene, self._looks = scene, scene.robot.looks
        self._model = scene_spec(scene, looks=True).compile()
        self._data = mujoco.MjData(self._model)
        self._poser = Poser(scene, self._model)
        self._renderer = open_renderer(self._model, height, width, self._model.ngeom + _LINES)
        self._camera = mujoco.MjvCamera()
        self._camera.distance, self._camera.elevation = self._looks.distance, self._looks.elevation

    def __enter__(self) -> MotionRenderer:
        return self

    def __exit__(self, *_: object) -> None:
        self._renderer.close()

    def frames(self, motion: Motion, *, fps: int = 30, past_s: float = 4.0, ahead_s: float = 2.0) -> Iterator[Frame]:
        """Images (height, width, 3) RGB at `fps` of the whole movement.

        Behind a free base runs a trail of the last `past_s` seconds; the reference is drawn from as far back to
        `ahead_s` ahead, and a ball marks where the base should be.

        Raises ValueError naming a quantity that says where things are and that the movement's record lacks.
        """
        self._poser.check(motion.state)
        moments = motion.at_rate(fps)
        place = base_position(self._scene, moments)
        middle = np.tile(self._model.stat.center, (len(moments.time), 1))
        looked_at = middle if place is None else _smooth(place, _SMOOTHING_S * fps)
        trail, reference = self._drawn(place), self._drawn(moments.reference)
        past, ahead = round(past_s * fps), round(ahead_s * fps)
        for i, target in enumerate(looked_at):
            self._pose({name: rows[i] for name, rows in moments.state.items()})
            self._look(target, moments.time[i] - moments.time[0])
            first = max(0, i - past)
            if reference is not None:
                self._draw_path(reference[first : i + ahead], (*REFERENCE, 0.7), 2.0)
                self._draw_ball(reference[i])
            if place is not None and trail is not None:
                self._draw_path(trail[first : i + 1], (*FLOWN, 0.95), 3.0)
                self._draw_shadow(place[i])
            yield self._renderer.render()

    def _drawn(self, path: Vector | None) -> Vector | None:
        """Where a path (t, 3) of the base is drawn."""
        if path is None or not self._looks.on_ground:
            return path
        return np.column_stack((path[:, :2], _ground(self._scene, path) + _LIFT_M))

    def _pose(self, state: Mapping[str, Vector]) -> None:
        self._poser.pose(self._data, state)
        mujoco.mj_camlight(self._model, self._data)

    def _look(self, target: Vector, time: float) -> None:
        self._camera.lookat[:] = target
        self._camera.azimuth = self._looks.azimuth + self._looks.turn * time
        self._renderer.update_scene(self._data, self._camera)

    def _draw_path(self, points: Vector, rgba: tuple[float, ...], width: float) -> None:
        """A line through `points`, `width` pixels wide, fading towards its first."""
        points = points[::-_STRIDE][::-1]
        for i, (start, end) in enumerate(pairwise(points)):
            geom = self._new_geom(mujoco.mjtGeom.mjGEOM_LINE, (*rgba[:3], rgba[3] * (i + 1) / len(points)))
            mujoco.mjv_connector(geom, mujoco.mjtGeom.mjGEOM_LINE, width, start, end)

    def _draw_ball(self, reference: Vector) -> None:
        self._new_geom(mujoco.mjtGeom.mjGEOM_SPHERE, (*REFERENCE, 0.8), (self._looks.mark, 0, 0), reference)

    def _draw_shadow(self, position: Vector) -> None:
        """Draw, for want of shadows, a dark disc below the robot that widens with its height."""
        if self._scene.terrain is not None:  # a flat disc would cut through the hills
            return
        wide = self._looks.radius * (1 + 0.3 * max(0.0, position[2]))
        ground = np.array((position[0], position[1], 0.0))
        self._new_geom(mujoco.mjtGeom.mjGEOM_CYLINDER, _SHADOW, (wide, 0.0005, 0), ground)

    def _new_geom(self, kind: int, rgba: tuple[float, ...], size=(0, 0, 0), position=(0, 0, 0)) -> mujoco.MjvGeom:
        scene = self._renderer.scene
        geom = scene.geoms[scene.ngeom]
        scene.ngeom += 1
        mujoco.mjv_initGeom(geom, kind, np.array(size, float), np.array(position, float), np.eye(3).ravel(), rgba)
        return geom


def _ground(scene: Scene, path: Vector) -> Vector:
    """(t,) m: height of the ground below a path (t, 3) m."""
    if scene.terrain is None:
        return np.zeros(len(path))
    return scene.terrain.height(torch.from_numpy(path[:, :2]).float()).double().numpy()


def _smooth(path: Vector, width: float) -> Vector:
    """`path` (t, 3) averaged with a Gaussian window of standard deviation `width` samples; no delay."""
    reach = max(1, round(3 * width))
    offsets = np.arange(-reach, reach + 1)
    window = np.exp(-0.5 * (offsets / max(width, 1e-9)) ** 2)
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, window / window.sum(), mode="valid") for column in padded.T], axis=1)
