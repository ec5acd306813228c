"""A robot that speaks ROS 2 as a `Robot`: what teleoperation and recording know of a real one.

This module needs ROS 2: `isthmus_deploy.ros.ros2.require()` before its import says how to get it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.recording.cameras.camera import Camera, look
from isthmus_datasets.recording.robot import CameraError, Observation, RobotError, RobotFeatures, RobotLost
from isthmus_datasets.recording.ros2.topics import close_node, open_node, wait_for
from isthmus_deploy.contracts.limits import Limits
from isthmus_deploy.ros import ros2
from isthmus_deploy.ros.node.ownership import RobotLock
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_policies.demonstrate.features import action_column, joined, split
from isthmus_policies.demonstrate.ros2.connection import (
    announced_cameras,
    announced_limits,
    hear_interface,
    open_commands,
)
from isthmus_policies.demonstrate.ros2.drive import Readings, Ros2Drive
from isthmus_policies.demonstrate.ros2.sensor import Sensor, sensors


class Ros2Robot:
    """What the robot announces on `robot_interface` is its description: names, order, units and limits are not typed
    again. A topic is a column: joint states are "state", as LeRobot has it, others have their topic's name. Its action
    is its commands one after the other. Capture times are those of the messages, all told by `time.monotonic_ns`.

    Commands go through the safety chain that policies are driven through too (`isthmus_deploy.safety.chain`), with the
    limits that the robot announces: `reset` leads it to stand-by, and so does `hold` while an episode is saved;
    whatever trips, and `close`, lead it to its safe command. The robot's drives, or a watchdog beside them, must stop
    it when commands stay away: nothing is sent while nobody records, nor when this process dies. (ros2_control's
    forward controller has no time-out of its own.)

    Args:
        namespace: Namespace of the robot, such as "/arm1".
        cameras: name -> camera, beside those that the robot announces; closed with the robot.
        rate_hz: How often `act` is called; by default once in the robot's control period.
        wait_s: How long to wait for the robot at first, and for new readings in `reset`.

    Raises:
        Refusal: there is no robot, it does not announce its limits, it is driven by somebody else, or it cannot be read
            or commanded.
        CameraError: a camera that it announces gives no image.
    """

    def __init__(
        self,
        *,
        namespace: str = "",
        cameras: Mapping[str, Camera] | None = None,
        rate_hz: int | None = None,
        wait_s: float = 15.0,
    ) -> None:
        ros2.require()
        self._cameras, self._wait_s = dict(cameras or {}), wait_s
        with ExitStack() as devices:
            for camera in self._cameras.values():
                devices.callback(camera.close)
            devices.enter_context(RobotLock(namespace))
            node = open_node("recorder", namespace)
            devices.callback(close_node, node)
            self.interface = hear_interface(node, wait_s)
            self._limits = announced_limits(self.interface)
            self._commands = self.interface.commands
            self._sensors = sensors(node, self.interface)
            for camera in announced_cameras(node, self.interface, wait_s):
                devices.callback(camera.close)
                self._cameras[camera.name] = camera
            self._drive = Ros2Drive(
                self._limits_of_readings(),
                open_commands(node, self.interface, wait_s),
                self._read,
                rate_hz=rate_hz or round(1 / self.interface.control_period_s),
            )
            devices.callback(self._drive.end)
            silent = self._await_readings()
            if silent:
                raise Refusal(f"{self.interface.robot}: nothing from {', '.join(silent)} within {wait_s:g} s")
            self._devices = devices.pop_all()
        self.features = self._features()

    def _limits_of_readings(self) -> Limits:
        """The limits without those of goals, which an operator gives, and of images, which cameras do."""
        read = {signal.name for sensor in self._sensors for signal in sensor.signals}
        return replace(self._limits, signals=tuple(signal for signal in self._limits.signals if signal.name in read))

    def _features(self) -> RobotFeatures:
        return RobotFeatures(
            robot_type=self.interface.robot,
            columns={sensor.column: sensor.feature for sensor in self._sensors},
            cameras={name: camera.shape for name, camera in self._cameras.items()},
            action=action_column(self._commands),
        )

    def _await_readings(self) -> list[str]:
        """Wait, at most `wait_s`, for new readings of all topics, none of them stale. Topics that gave nothing new."""
        waiting: dict[str, Sensor] = {sensor.topic: sensor for sensor in self._sensors}

        def heard() -> bool | None:
            for sensor in self._sensors:
                if sensor.update():
                    waiting.pop(sensor.topic, None)
            return None if waiting or any(sensor.stale for sensor in self._sensors) else True

        wait_for(heard, self._wait_s)
        return list(waiting)

    def reset(self, seed: int) -> None:
        """Wait for a new reading of everything that is not stale, then go to stand-by. Raises RobotLost naming what is
        silent or stale, RobotError what is implausible."""
        for sensor in self._sensors:
            sensor.update()  # what has come until now is not new
        silent = self._await_readings()
        if silent:
            raise RobotLost(f"{self.interface.robot}: nothing from {', '.join(silent)} for {self._wait_s:g} s")
        for sensor in self._sensors:
            sensor.taken()
        self._drive.begin()

    def observe(self) -> Observation:
        """The newest readings. Raises RobotLost naming a topic that is silent, RobotError one that says what cannot be,
        CameraError."""
        try:
            self._read()
            images, image_times = look(self._cameras)
        except (RobotError, CameraError) as error:
            self._drive.fault(str(error))
            raise
        columns = {sensor.column: sensor.values for sensor in self._sensors}
        times = {sensor.column: sensor.taken() for sensor in self._sensors}
        return Observation(columns=columns, images=images, capture_time_ns={**times, **image_times})

    @property
    def readings(self) -> tuple[str, ...]:
        """Names of what `signals` gives."""
        return (*(signal.name for sensor in self._sensors for signal in sensor.signals), *self._cameras)

    def signals(self, observation: Observation) -> dict[str, NDArray[Any]]:
        """The readings in an observation, by the names that the robot announces, unbatched; images too."""
        numbers = {
            name: part
            for sensor in self._sensors
            for name, part in split(sensor.signals, observation.columns[sensor.column]).items()
        }
        return {**numbers, **observation.images}

    def act(self, action: NDArray[Any]) -> NDArray[np.float32]:
        """Send commands (k,) in their units; what was sent, within the robot's limits.

        Raises:
            ValueError: the action is not (k,).
            RobotError: it was not reset, or has had a fault since; or a reading is implausible, or the action not
                finite: the robot is safe then.
            RobotLost: a reading is stale. The robot is safe then.
        """
        if not self._drive.driven:
            raise RobotError(f"{self.interface.robot}: it is not driven now: reset it first")
        sent = self._drive.send(split(self._commands, action.astype(np.float64)))
        return joined(self._commands, sent)

    def hold(self) -> None:
        """Stand-by for one period, if it is driven, as `HeldRobot` has it."""
        self._drive.hold()

    def _read(self) -> Readings:
        """The newest readings by name, and their ages in s. Raises RobotLost, RobotError."""
        for sensor in self._sensors:
            sensor.update()
        now_ns = time.monotonic_ns()
        ages = {sensor.topic: 1e-9 * (now_ns - sensor.taken()) for sensor in self._sensors}
        return (
            {signal.name: sensor.part(signal) for sensor in self._sensors for signal in sensor.signals},
            {signal.name: ages[sensor.topic] for sensor in self._sensors for signal in sensor.signals},
        )

    def close(self) -> None:
        """If it was moved, lead it to its safe command and wait until it has that; then let go of everything."""
        self._devices.close()
