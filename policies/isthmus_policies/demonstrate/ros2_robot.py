"""A robot that speaks ROS 2 as a `Robot`: what teleoperation and recording know of a real one.

This module needs ROS 2: `isthmus_deploy.ros.ros2.require()` before its import says how to get it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.recording.cameras.camera import Camera, look
from isthmus_datasets.recording.robot import Observation, RobotFeatures
from isthmus_datasets.recording.ros2.topics import close_node, open_node, wait_for
from isthmus_deploy.robot_interface import CommandInterface, SignalInterface
from isthmus_deploy.ros import ros2
from isthmus_deploy.ros.ownership import RobotLock
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_policies.demonstrate.features import action_column, joined, split
from isthmus_policies.demonstrate.ros2_connection import hear_interface, measuring, open_commands
from isthmus_policies.demonstrate.ros2_sensor import RobotLost, Sensor, sensors

_LAST_COMMAND_S = 0.5  # how long to wait until the robot has each last command


class Ros2Robot:
    """What the robot announces on `robot_interface` is its description: names, order, units and limits are not typed
    again. A topic is a column: joint states are "state", as LeRobot has it, others have their topic's name. Its action
    is its commands one after the other, clipped to the range it announces. Capture times are those of the messages, all
    told by `time.monotonic_ns`.

    The robot's drives, or a watchdog beside them, must stop it when commands stay away: nothing is sent between
    episodes, nor when this process dies. (ros2_control's forward controller has no time-out of its own.)

    Args:
        namespace: Namespace of the robot, such as "/arm1".
        cameras: name -> camera; closed with the robot.
        safe: What `close` sends last, (k,) as an action; None: joints stay where they are measured then.
        max_age_s: `observe` refuses an older reading.
        wait_s: How long to wait for the robot at first, and for new readings in `reset`.

    Raises:
        Refusal: there is no robot, it is driven by somebody else, or it cannot be read or commanded.
    """

    def __init__(
        self,
        *,
        namespace: str = "",
        cameras: Mapping[str, Camera] | None = None,
        safe: Sequence[float] | None = None,
        max_age_s: float = 0.2,
        wait_s: float = 15.0,
    ) -> None:
        ros2.require()
        self._cameras, self._max_age_s, self._wait_s = dict(cameras or {}), max_age_s, wait_s
        self._moved = False
        with ExitStack() as devices:
            for camera in self._cameras.values():
                devices.callback(camera.close)
            devices.enter_context(RobotLock(namespace))
            node = open_node("recorder", namespace)
            devices.callback(close_node, node)
            self.interface = hear_interface(node, wait_s)
            self._commands = self.interface.commands
            self._low, self._high = (
                np.concatenate([getattr(command, end) for command in self._commands]) for end in ("minimum", "maximum")
            )
            self._sensors = sensors(node, self.interface)
            self._last = self._last_action(safe)
            self._publishers = open_commands(node, self.interface, wait_s)
            silent = self._silent()
            if silent:
                raise Refusal(f"{self.interface.robot}: nothing from {', '.join(silent)} within {wait_s:g} s")
            self._devices = devices.pop_all()
        self.features = self._features()

    def _last_action(self, safe: Sequence[float] | None) -> Callable[[], NDArray[Any]]:
        """What gives it when it is due."""
        if safe is not None:
            if len(safe) != len(self._low) or not np.isfinite(safe).all():
                names = ", ".join(action_column(self._commands).names or ())
                raise Refusal(f"`safe` must be finite numbers for {names}, not {list(safe)}")
            return lambda: np.array(safe)
        measured = {command.name: self._measured(command) for command in self._commands}
        return lambda: joined(
            self._commands, {name: sensor.part(signal) for name, (sensor, signal) in measured.items()}
        )

    def _measured(self, command: CommandInterface) -> tuple[Sensor, SignalInterface]:
        """The reading of what a command sets, and who gives it."""
        signal = measuring(self.interface, command)
        sensor = next((sensor for sensor in self._sensors if signal in sensor.signals), None)
        if signal is None or sensor is None:
            raise Refusal(f"nothing measures {command.name}: say by `safe` what is to be sent last, in {command.unit}")
        return sensor, signal

    def _features(self) -> RobotFeatures:
        return RobotFeatures(
            robot_type=self.interface.robot,
            columns={sensor.column: sensor.feature for sensor in self._sensors},
            cameras={name: camera.shape for name, camera in self._cameras.items()},
            action=action_column(self._commands),
        )

    def _silent(self) -> list[str]:
        """Topics that give no new reading within `wait_s`."""
        waiting: dict[str, Sensor] = {sensor.topic: sensor for sensor in self._sensors}

        def heard() -> bool | None:
            for topic in [topic for topic, sensor in waiting.items() if sensor.update()]:
                del waiting[topic]
            return None if waiting else True

        wait_for(heard, self._wait_s)
        return list(waiting)

    def reset(self, seed: int) -> None:
        """Wait for a new reading of everything; the robot does not move. Raises RobotLost naming what is silent."""
        for sensor in self._sensors:
            sensor.update()  # what has come until now is not new
        silent = self._silent()
        if silent:
            raise RobotLost(f"{self.interface.robot}: nothing from {', '.join(silent)} for {self._wait_s:g} s")

    def observe(self) -> Observation:
        """The newest readings. Raises RobotLost naming a topic that is silent or says what cannot be; CameraError."""
        for sensor in self._sensors:
            sensor.update()
        times = {sensor.column: sensor.taken_within(self._max_age_s) for sensor in self._sensors}
        images, image_times = look(self._cameras)
        columns = {sensor.column: sensor.values for sensor in self._sensors}
        return Observation(columns=columns, images=images, capture_time_ns={**times, **image_times})

    def act(self, action: NDArray[Any]) -> NDArray[np.float32]:
        """Send commands (k,) in their units; what was sent, clipped. Raises ValueError unless these are k finite
        numbers."""
        if action.shape != self._low.shape or not np.isfinite(action).all():
            raise ValueError(f"an action must be {len(self._low)} finite numbers, not {action.tolist()}")
        sent = np.clip(action.astype(np.float64), self._low, self._high)
        for publisher, values in zip(self._publishers, split(self._commands, sent).values(), strict=True):
            publisher.send(values)
        self._moved = True
        return sent.astype(np.float32)

    def close(self) -> None:
        """If it was moved, send the last command and wait until the robot has it; then let go of everything."""
        with self._devices:
            if not self._moved:
                return
            for sensor in self._sensors:
                with suppress(RobotLost):  # then what it said before counts
                    sensor.update()
            self.act(self._last())
            for publisher in self._publishers:
                publisher.wait_until_taken(_LAST_COMMAND_S)
            self._moved = False
