"""What a robot's sensors read of its world in MuJoCo: the true value and noise, for each signal of the description."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Mapping

import mujoco
import numpy as np

from isthmus_deploy.ros.stand_in_robot.worlds.free_body import FreeBody, turned
from isthmus_deploy.ros.stand_in_robot.worlds.world import Array
from isthmus_sim.description import RobotDescription
from isthmus_sim.rendering.renderer import open_renderer
from isthmus_sim.specs import SignalSpec

Read = Callable[[mujoco.MjData], Array]

# Sensor noise, one sigma. Encoders of some 15 bits behind a gearbox with play, their speeds filtered differences; the
# gyro shaken by the steps; the attitude estimate of a good small IMU; a motion capture's position and its difference;
# a force-torque sensor of 40 N; a camera that tracks.
_NOISE = {"rad": 0.005, "rad/s": 0.02, "m": 0.001, "m/s": 0.002, "N": 0.05, "N·m": 0.002, "px": 0.5}  # by unit
_JOINT_SPEED_NOISE = 1 / 150  # of the fastest joint's limit
_ROTATION_NOISE = 0.01  # rad
_OF_BASE = ("position", "orientation", "linear_velocity", "angular_velocity", "imu_orientation")


class Sensing:
    """The sensors of one robot.

    Joints by `joint_position` and `joint_velocity`; a free base by `position`, `orientation`, `linear_velocity`,
    `angular_velocity` and, with an arbitrary zero of the heading, `imu_orientation`; images from the model's cameras of
    the signal's name, with or without `camera_`; anything else from the model's sensor of the signal's name.

    Args:
        robot: Whose signals these are.
        model: Its unit.
        base: Its free base, or None.
        heading: Heading of the IMU's zero, rad.
        random: Draws noise.
        told: What stands around the robot, as the task sees it: name -> the true value. Only what the robot's own model
            has nothing for is asked of it.

    Raises:
        ValueError: the model has nothing that could be read for a signal.
        NoRendererError: it has a camera, and there is no off-screen OpenGL on this machine.
    """

    def __init__(
        self,
        robot: RobotDescription,
        model: mujoco.MjModel,
        base: FreeBody | None,
        heading: float,
        random: np.random.Generator,
        told: Mapping[str, Callable[[], Array]] | None = None,
    ) -> None:
        self._told = told or {}
        self._robot, self._model, self._base, self._random = robot, model, base, random
        self._renderers: list[mujoco.Renderer] = []
        self._north = np.array([np.cos(heading / 2), 0.0, 0.0, np.sin(heading / 2)])
        self._reads = {signal.name: self._reader(signal) for signal in robot.signals if not signal.is_goal}

    def read(self, data: mujoco.MjData) -> dict[str, Array]:
        """All readings by name, new arrays."""
        return {name: read(data) for name, read in self._reads.items()}

    def close(self) -> None:
        """Release what images are drawn with."""
        for renderer in self._renderers:
            renderer.close()

    def _reader(self, signal: SignalSpec) -> Read:
        if signal.dtype == "uint8":
            return self._camera(signal)
        if signal.name == "joint_position":
            q = np.array([self._model.joint(name).qposadr[0] for name in signal.order])
            return lambda data: self._noisy(data.qpos[q], _NOISE["rad"])
        if signal.name == "joint_velocity":
            v = np.array([self._model.joint(name).dofadr[0] for name in signal.order])
            noise = _JOINT_SPEED_NOISE * max(self._robot.joints[name].velocity_limit for name in signal.order)
            return lambda data: self._noisy(data.qvel[v], noise)
        if self._base is not None and signal.name in _OF_BASE:
            return self._of_base(self._base)[signal.name]
        if signal.name in self._told and self._sensor(signal) < 0:
            return self._of_task(signal)
        return self._model_sensor(signal)

    def _of_task(self, signal: SignalSpec) -> Read:
        ask, noise = self._told[signal.name], _NOISE.get(signal.unit, 0.0)
        return lambda _: self._noisy(ask(), noise).clip(signal.minimum, signal.maximum)

    def _of_base(self, base: FreeBody) -> dict[str, Read]:
        """What tells the names in `_OF_BASE`."""
        return {
            "position": lambda data: self._noisy(base.position(data), _NOISE["m"]),
            "orientation": lambda data: self._turned(base.orientation(data)),
            "linear_velocity": lambda data: self._noisy(base.velocity(data), _NOISE["m/s"]),
            "angular_velocity": lambda data: self._noisy(base.turning(data), _NOISE["rad/s"]),
            "imu_orientation": lambda data: self._turned(self._from_north(base.orientation(data))),
        }

    def _noisy(self, value: Array, noise: float) -> Array:
        return value + self._random.normal(0.0, noise, value.shape)

    def _turned(self, orientation: Array) -> Array:
        return turned(orientation, self._random.normal(0.0, _ROTATION_NOISE, 3))

    def _from_north(self, orientation: Array) -> Array:
        result = np.empty(4)
        mujoco.mju_mulQuat(result, self._north, orientation)
        return result

    def _sensor(self, signal: SignalSpec) -> int:
        """The model's sensor of the signal's name, negative for none."""
        return mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_SENSOR, signal.name)

    def _model_sensor(self, signal: SignalSpec) -> Read:
        sensor = self._sensor(signal)
        size = self._model.sensor_dim[sensor] if sensor >= 0 else 0
        if size != signal.size:
            known = ", ".join(("joint_position", "joint_velocity", *_OF_BASE))
            raise ValueError(
                f"a stand-in of {self._robot.name} cannot measure {signal.name}: it is none of {known}, and the model "
                f"has no <sensor> of that name with {signal.size} numbers"
            )
        part = slice(self._model.sensor_adr[sensor], self._model.sensor_adr[sensor] + size)
        noise = _NOISE.get(signal.unit, 0.0)
        return lambda data: self._noisy(data.sensordata[part], noise)

    def _camera(self, signal: SignalSpec) -> Read:
        names = [self._model.camera(i).name for i in range(self._model.ncam)]
        camera = next((name for name in (signal.name, signal.name.removeprefix("camera_")) if name in names), None)
        if camera is None:
            raise ValueError(
                f"a stand-in of {self._robot.name} cannot see {signal.name}: its model's cameras are "
                f"{', '.join(names) or 'none'}"
            )
        height, width, _ = signal.shape
        renderer = open_renderer(self._model, height, width, 2 * self._model.ngeom + 100)
        self._renderers.append(renderer)

        def read(data: mujoco.MjData) -> Array:
            renderer.update_scene(data, camera)
            return renderer.render().copy()

        return read
