"""A person who moves a guide with a device."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from isthmus_datasets.recording.operator import Controller, Decision, Event
from isthmus_datasets.recording.robot import Observation
from isthmus_datasets.teleop.devices.motion import Device
from isthmus_datasets.teleop.operators.teleop_controller import TeleopController


def resolve_event(event: Event, *, recording: bool, success: bool | None) -> Event:
    """What a person's event means. Before START there is nothing to keep: SUCCESS and STOP count for nothing. While
    recording, a robot that reports success ends the episode as if the person had said so."""
    if recording:
        return Event.SUCCESS if success and event is Event.NONE else event
    return Event.NONE if event in (Event.SUCCESS, Event.STOP) else event


class HumanOperator:
    """Each step the device is read, the guide's target moves, and the guide says the action.

    Args:
        device: Closed with the operator.
        guide: The robot's guide.
        rate_hz: Steps per second.
        name: Who it is, for the dataset; the device's name if empty.
    """

    def __init__(self, device: Device, guide: TeleopController, *, rate_hz: float, name: str = "") -> None:
        self.name = name or device.name
        self.wants_control: bool | None = None
        """What the device said last: True takes over, False gives back."""
        self._device, self._guide, self._dt_s = device, guide, 1.0 / rate_hz
        self._aligned = self._recording = False

    def reset(self, seed: int) -> None:
        """The target will be where the robot is. What was pressed between episodes is forgotten. Raises DeviceError."""
        self._aligned = self._recording = False
        self.wants_control = None
        self._device.read()

    def align(self, observation: Observation, *, recording: bool, sent: NDArray[Any] | None = None) -> None:
        """Somebody else drives: the target is where the robot is now. `sent`: the action before, if there was one."""
        self._guide.reset(observation, sent)
        self._aligned, self._recording = True, recording

    def decide(self, observation: Observation) -> Decision:
        """The guide's action after the device's motion. Raises DeviceError."""
        if not self._aligned:
            self.align(observation, recording=self._recording)
        motion = self._device.read()
        self.wants_control = motion.in_control
        self._guide.move(motion, self._dt_s)
        event = resolve_event(motion.event, recording=self._recording, success=observation.success)
        self._recording |= event is Event.START
        return Decision(action=self._guide.action(observation), control=Controller.HUMAN, event=event)

    def close(self) -> None:
        """Let go of the device."""
        self._device.close()
