"""Pictures of recorded movements, drawn off-screen: the robot, where it was, and where it should be."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from itertools import pairwise

import mujoco
import numpy as np
from numpy.typing import NDArray

from isthmus_sim.engine import State
from isthmus_sim.robots import quadrotor
from isthmus_sim.robots.quadrotor_mjcf import quadrotor_mjcf

Vector = NDArray[np.float64]
Frame = NDArray[np.uint8]

FLOWN = (0.95, 0.40, 0.06)
REFERENCE = (0.16, 0.42, 0.80)
_SHADOW = (0.0, 0.0, 0.0, 0.22)
_MAX_GEOMS = 4000
_STRIDE = 2  # samples per piece of a line: twice as fast to draw, and still round
_SMOOTHING_S = 0.35  # of the camera's path: the robot moves in the picture, the picture does not shake


class NoRendererError(OSError):
    """This machine cannot draw without a display; the message says what to install."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is drawn for a robot.

    mjcf: the robot in its surroundings. qpos: State of n worlds -> (n, nq) joint positions of that model. radius m:
    of the robot as seen from above, for its shadow. Distance in m, azimuth, elevation in degrees, turn in degrees per
    second: of the camera, around the robot.
    """

    mjcf: str
    qpos: Callable[[State], Vector]
    radius: float
    distance: float
    azimuth: float = 140.0
    elevation: float = -24.0
    turn: float = 3.0


def _free_body(state: State) -> Vector:
    return np.concatenate((state.position.double().cpu().numpy(), state.orientation.double().cpu().numpy()), axis=1)


def scene_of(robot: str) -> Scene:
    """The scene of a robot by its name in `RobotSpec`. Raises ValueError naming the robots that have one."""
    scenes = {quadrotor.SPEC.name: Scene(mjcf=quadrotor_mjcf(scene=True), qpos=_free_body, radius=0.05, distance=0.62)}
    if robot not in scenes:
        raise ValueError(f"no scene for robot {robot!r}; there are scenes for: {', '.join(scenes)}")
    return scenes[robot]


@dataclass(frozen=True, kw_only=True)
class Motion:
    """A recorded movement of t samples.

    time (t,) s, increasing; qpos (t, nq) as `Scene.qpos` gives it; position (t, 3) m, world, of the robot's base;
    reference (t, 3) m, world, where that should be.
    """

    time: Vector
    qpos: Vector
    position: Vector
    reference: Vector

    def at(self, time: Vector) -> Motion:
        """The movement at other times, linear between samples."""
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "time"}
        return Motion(time=time, **{name: _interpolate(time, self.time, value) for name, value in columns.items()})

    def at_rate(self, fps: int) -> Motion:
        """The movement at `fps` samples per second."""
        duration = self.time[-1] - self.time[0]
        return self.at(self.time[0] + np.arange(max(1, round(duration * fps))) / fps)


def _interpolate(x: Vector, known_x: Vector, known: Vector) -> Vector:
    return np.stack([np.interp(x, known_x, column) for column in known.T], axis=1)


class MotionRenderer:
    """Draws a robot in its scene with a camera that follows it. A context manager: it holds an OpenGL context.

    Args:
        scene: What to draw; see `scene_of`.
        width, height: Of the pictures, in pixels.

    Raises:
        NoRendererError: there is no off-screen OpenGL on this machine.
    """

    def __init__(self, scene: Scene, *, width: int = 640, height: int = 480) -> None:
        if os.environ.get("MUJOCO_GL") is None and os.environ.get("DISPLAY") is None:
            raise NoRendererError("no off-screen OpenGL here; on Debian: apt-get install libegl1 libopengl0")
        self._scene = scene
        self._model = mujoco.MjModel.from_xml_string(scene.mjcf)
        self._data = mujoco.MjData(self._model)
        try:
            self._renderer = mujoco.Renderer(self._model, height, width, max_geom=_MAX_GEOMS)
        except mujoco.FatalError as error:
            backend = os.environ.get("MUJOCO_GL", "a display")
            raise NoRendererError(f"MuJoCo cannot draw with {backend}: {error}") from error
        self._camera = mujoco.MjvCamera()
        self._camera.distance, self._camera.elevation = scene.distance, scene.elevation

    def __enter__(self) -> MotionRenderer:
        return self

    def __exit__(self, *_: object) -> None:
        self._renderer.close()

    def frames(self, motion: Motion, *, fps: int = 30, past_s: float = 4.0, ahead_s: float = 2.0) -> Iterator[Frame]:
        """Pictures (height, width, 3) RGB at `fps` of the whole movement.

        Behind the robot runs a trail of the last `past_s` seconds; the reference is drawn from as far back to
        `ahead_s` ahead, and a ball marks where the robot should be.
        """
        moments = motion.at_rate(fps)
        looked_at = _smooth(moments.position, _SMOOTHING_S * fps)
        past, ahead = round(past_s * fps), round(ahead_s * fps)
        for i, target in enumerate(looked_at):
            self._pose(moments.qpos[i], target, moments.time[i] - moments.time[0])
            first = max(0, i - past)
            self._draw_path(moments.reference[first : i + ahead], (*REFERENCE, 0.7), 2.0)
            self._draw_path(moments.position[first : i + 1], (*FLOWN, 0.95), 3.0)
            self._draw_marks(moments.position[i], moments.reference[i])
            yield self._renderer.render()

    def _pose(self, qpos: Vector, target: Vector, time: float) -> None:
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)  # which also makes a blend of two quaternions a unit one
        mujoco.mj_camlight(self._model, self._data)
        self._camera.lookat[:] = target
        self._camera.azimuth = self._scene.azimuth + self._scene.turn * time
        self._renderer.update_scene(self._data, self._camera)

    def _draw_path(self, points: Vector, rgba: tuple[float, ...], width: float) -> None:
        """A line through `points`, `width` pixels wide, fading towards its first."""
        points = points[::-_STRIDE][::-1]
        for i, (start, end) in enumerate(pairwise(points)):
            geom = self._new_geom(mujoco.mjtGeom.mjGEOM_LINE, (*rgba[:3], rgba[3] * (i + 1) / len(points)))
            mujoco.mjv_connector(geom, mujoco.mjtGeom.mjGEOM_LINE, width, start, end)

    def _draw_marks(self, position: Vector, reference: Vector) -> None:
        """A ball at the reference and, for want of shadows, a dark disc below the robot that widens with its height."""
        self._new_geom(mujoco.mjtGeom.mjGEOM_SPHERE, (*REFERENCE, 0.8), (0.006, 0, 0), reference)
        wide = self._scene.radius * (1 + 0.3 * max(0.0, position[2]))
        ground = np.array((position[0], position[1], 0.0))
        self._new_geom(mujoco.mjtGeom.mjGEOM_CYLINDER, _SHADOW, (wide, 0.0005, 0), ground)

    def _new_geom(self, kind: int, rgba: tuple[float, ...], size=(0, 0, 0), position=(0, 0, 0)) -> mujoco.MjvGeom:
        scene = self._renderer.scene
        geom = scene.geoms[scene.ngeom]
        scene.ngeom += 1
        mujoco.mjv_initGeom(geom, kind, np.array(size, float), np.array(position, float), np.eye(3).ravel(), rgba)
        return geom


def _smooth(path: Vector, width: float) -> Vector:
    """`path` (t, 3) averaged with a Gaussian window of standard deviation `width` samples; no delay."""
    reach = max(1, round(3 * width))
    offsets = np.arange(-reach, reach + 1)
    window = np.exp(-0.5 * (offsets / max(width, 1e-9)) ** 2)
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, window / window.sum(), mode="valid") for column in padded.T], axis=1)
