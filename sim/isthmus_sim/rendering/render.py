"""Pictures of recorded movements, drawn off-screen: the robot, where it was, and where it should be."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray

from isthmus_sim.engine import ArticulatedState, State
from isthmus_sim.robots.quadrotor import description as quadrotor
from isthmus_sim.robots.quadrotor.mjcf import quadrotor_mjcf
from isthmus_sim.robots.quadruped import description as quadruped
from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf
from isthmus_sim.terrain import Terrain

Vector = NDArray[np.float64]
Frame = NDArray[np.uint8]

FLOWN = (0.95, 0.40, 0.06)
REFERENCE = (0.16, 0.42, 0.80)
_SHADOW = (0.0, 0.0, 0.0, 0.22)
_MAX_GEOMS = 4000
_STRIDE = 2  # samples per piece of a line: twice as fast to draw, and still round
_LIFT_M = 0.01  # of what is drawn on the ground, to be seen above it
_SMOOTHING_S = 0.35  # of the camera's path: the robot moves in the picture, the picture does not shake


class NoRendererError(OSError):
    """This machine cannot draw without a display; the message says what to install."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is drawn for a robot.

    mjcf: the robot in its surroundings, with `terrain` for its geom "ground" where there is one. joints: their names
    in the order in which they follow the free base. radius m: of the robot as seen from above, for its shadow; mark m:
    of the ball where it should be. on_ground: whether its way is drawn on the ground below it. Distance in m, azimuth,
    elevation in degrees, turn in degrees per second: of the camera, around the robot.
    """

    mjcf: str
    joints: tuple[str, ...] = ()
    terrain: Terrain | None = None
    radius: float
    mark: float
    on_ground: bool = False
    distance: float
    azimuth: float = 140.0
    elevation: float = -24.0
    turn: float = 3.0

    def qpos(self, state: State) -> Vector:
        """State of n worlds -> (n, nq) joint positions of the model."""
        parts = [state.position, state.orientation]
        if isinstance(state, ArticulatedState):
            parts.append(state.joint_position)
        return torch.cat(parts, dim=1).double().cpu().numpy()

    def ground(self, position: Vector) -> Vector:
        """Height (t,) m of the ground below positions (t, 3) m."""
        if self.terrain is None:
            return np.zeros(len(position))
        return self.terrain.height(torch.from_numpy(position[:, :2]).float()).double().numpy()


_SCENES = {
    quadrotor.SPEC.name: Scene(mjcf=quadrotor_mjcf(scene=True), radius=0.05, mark=0.006, distance=0.62),
    quadruped.SPEC.name: Scene(
        mjcf=quadruped_mjcf(scene=True), joints=quadruped.JOINTS, radius=0.18, mark=0.03, on_ground=True, distance=1.6
    ),
}


def scene_of(robot: str, terrain: Terrain | None = None) -> Scene:
    """The scene of a robot by its name in `RobotSpec`, on flat ground or `terrain`.

    Raises ValueError naming the robots that have one.
    """
    if robot not in _SCENES:
        raise ValueError(f"no scene for robot {robot!r}; there are scenes for: {', '.join(_SCENES)}")
    return replace(_SCENES[robot], terrain=terrain)


@dataclass(frozen=True, kw_only=True)
class Motion:
    """A recorded movement of t samples.

    time (t,) s, increasing; qpos (t, nq) as `Scene.qpos` gives it; position (t, 3) m, world, of the robot's base;
    reference (t, 3) m, world, where that should be, or None when nobody said.
    """

    time: Vector
    qpos: Vector
    position: Vector
    reference: Vector | None

    def at(self, time: Vector) -> Motion:
        """The movement at other times, linear between samples."""
        return Motion(
            time=time,
            qpos=_interpolate(time, self.time, self.qpos),
            position=_interpolate(time, self.time, self.position),
            reference=None if self.reference is None else _interpolate(time, self.time, self.reference),
        )

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
        self._model = _model(scene)
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
        trail = self._drawn(moments.position)
        reference = None if moments.reference is None else self._drawn(moments.reference)
        past, ahead = round(past_s * fps), round(ahead_s * fps)
        for i, target in enumerate(looked_at):
            self._pose(moments.qpos[i], target, moments.time[i] - moments.time[0])
            first = max(0, i - past)
            if reference is not None:
                self._draw_path(reference[first : i + ahead], (*REFERENCE, 0.7), 2.0)
                self._draw_ball(reference[i])
            self._draw_path(trail[first : i + 1], (*FLOWN, 0.95), 3.0)
            self._draw_shadow(moments.position[i])
            yield self._renderer.render()

    def _drawn(self, path: Vector) -> Vector:
        """Where a path (t, 3) is drawn."""
        if not self._scene.on_ground:
            return path
        return np.column_stack((path[:, :2], self._scene.ground(path) + _LIFT_M))

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

    def _draw_ball(self, reference: Vector) -> None:
        self._new_geom(mujoco.mjtGeom.mjGEOM_SPHERE, (*REFERENCE, 0.8), (self._scene.mark, 0, 0), reference)

    def _draw_shadow(self, position: Vector) -> None:
        """For want of shadows, a dark disc below the robot that widens with its height."""
        if self._scene.terrain is not None:  # a flat disc would cut through the hills
            return
        wide = self._scene.radius * (1 + 0.3 * max(0.0, position[2]))
        ground = np.array((position[0], position[1], 0.0))
        self._new_geom(mujoco.mjtGeom.mjGEOM_CYLINDER, _SHADOW, (wide, 0.0005, 0), ground)

    def _new_geom(self, kind: int, rgba: tuple[float, ...], size=(0, 0, 0), position=(0, 0, 0)) -> mujoco.MjvGeom:
        scene = self._renderer.scene
        geom = scene.geoms[scene.ngeom]
        scene.ngeom += 1
        mujoco.mjv_initGeom(geom, kind, np.array(size, float), np.array(position, float), np.eye(3).ravel(), rgba)
        return geom


def _model(scene: Scene) -> mujoco.MjModel:
    model = mujoco.MjSpec.from_string(scene.mjcf)
    if scene.terrain is not None:
        scene.terrain.replace_ground(model, "ground")
    return model.compile()


def _smooth(path: Vector, width: float) -> Vector:
    """`path` (t, 3) averaged with a Gaussian window of standard deviation `width` samples; no delay."""
    reach = max(1, round(3 * width))
    offsets = np.arange(-reach, reach + 1)
    window = np.exp(-0.5 * (offsets / max(width, 1e-9)) ** 2)
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, window / window.sum(), mode="valid") for column in padded.T], axis=1)
