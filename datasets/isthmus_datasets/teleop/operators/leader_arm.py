"""A leader arm: the robot's joints go where those of a small arm in the person's hand are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus_datasets.recording.operator import Controller, Decision, Event
from isthmus_datasets.recording.robot import Observation, RobotFeatures
from isthmus_datasets.teleop.devices.arm_calibration import Calibration
from isthmus_datasets.teleop.devices.motion import Device
from isthmus_datasets.teleop.operators.human import resolve_event
from isthmus_datasets.teleop.operators.plane_guide import elements

_AGREE_RAD = 0.05


class Bus(Protocol):
    """Where the leader's servos are; see `ServoBus`."""

    def read(self) -> dict[int, int]:
        """id -> ticks."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class LeaderArm:
    """The leader's joints, by name, as the robot's action.

    When an episode begins, or the person takes over, the robot goes to where the leader is at a limited speed; from
    then on it follows directly. A START before they agree waits until they do, unless it gives back.

    Args:
        bus: The leader's servo bus. Closed with the operator, as is the next.
        buttons: Gives events, and takes over and gives back; its motion does not count.
        calibration: Names the joints as the robot's action does.
        features: The robot's.
        minimum, maximum: (k,) the action's limits, in its order.
        rate_hz: Steps per second.
        approach_rad_s: Speed until they agree.
        scaled: Joints whose whole way is the robot's whole way, however long each is: the gripper.
        signal, column: Where the robot's joints are observed: SIGNAL.JOINT in `column`.
        name: For the dataset.

    Raises:
        ValueError: calibration and robot differ in their joints.
    """

    def __init__(
        self,
        bus: Bus,
        buttons: Device,
        calibration: Calibration,
        features: RobotFeatures,
        *,
        minimum: ArrayLike,
        maximum: ArrayLike,
        rate_hz: float,
        approach_rad_s: float = 0.7,
        scaled: Sequence[str] = ("gripper",),
        signal: str = "joint_position",
        column: str = "state",
        name: str = "leader arm",
    ) -> None:
        joints = features.action.names or ()
        self.name = name
        self.wants_control: bool | None = None
        """What the buttons said last: True takes over, False gives back."""
        self._bus, self._buttons, self._calibration = bus, buttons, calibration.ordered(joints)
        self._scaled = np.array([joint in scaled for joint in joints])
        self._low, self._high = np.array(minimum, np.float64), np.array(maximum, np.float64)
        self._column, self._measured = column, elements(features, column, [f"{signal}.{joint}" for joint in joints])
        self._most, self._dtype = approach_rad_s / rate_hz, features.action.numpy
        self._begin()

    def _begin(self) -> None:
        self._command: NDArray[np.float64] | None = None
        self._agreed = self._recording = self._started = False

    def reset(self, seed: int) -> None:
        """A new episode: the robot approaches anew. Raises DeviceError."""
        self._begin()
        self.wants_control = None
        self._buttons.read()

    def align(self, observation: Observation, *, recording: bool, sent: NDArray[Any] | None = None) -> None:
        """Somebody else drives: what is decided next begins with the action before, or where the robot is."""
        at = observation.columns[self._column][self._measured] if sent is None else sent
        self._command, self._agreed, self._recording = np.array(at, np.float64), False, recording

    def decide(self, observation: Observation) -> Decision:
        """Where the leader is, or on the way there. Raises DeviceError."""
        if self._command is None:
            self.align(observation, recording=False)
        motion = self._buttons.read()
        self.wants_control = motion.in_control
        command = self._follow()
        event = resolve_event(motion.event, recording=self._recording, success=observation.success)
        return Decision(action=command.astype(self._dtype), control=Controller.HUMAN, event=self._when_agreed(event))

    def _follow(self) -> NDArray[np.float64]:
        wanted = self._wanted()
        assert self._command is not None
        away = wanted - self._command
        self._agreed |= bool(np.all(np.abs(away) <= max(_AGREE_RAD, self._most)))
        self._command = wanted if self._agreed else self._command + np.clip(away, -self._most, self._most)
        return self._command

    def _wanted(self) -> NDArray[np.float64]:
        """Where the leader is, in the action's order, within its limits."""
        angles = self._calibration.angles(self._bus.read())
        low, high = self._calibration.ranges.T
        whole = self._low + (angles - low) / (high - low) * (self._high - self._low)
        return np.clip(np.where(self._scaled, whole, angles), self._low, self._high)

    def _when_agreed(self, event: Event) -> Event:
        """The event; a START as soon as leader and robot agree, or somebody else drives; DISCARD takes it back."""
        self._started = (self._started or event is Event.START) and event not in (Event.DISCARD, Event.QUIT)
        if self._started and (self._agreed or self.wants_control is False):
            self._started, self._recording = False, True
            return Event.START
        return Event.NONE if event is Event.START else event

    def close(self) -> None:
        """Let go of the bus and of the buttons."""
        try:
            self._bus.close()
        finally:
            self._buttons.close()
