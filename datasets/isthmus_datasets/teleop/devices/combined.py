"""Several devices as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isthmus_datasets.recording.operator import Event
from isthmus_datasets.teleop.devices.motion import Device, Motion


class CombinedDevice:
    """All that is held moves the target; an event of any is one, the first's first.

    Args:
        devices: At least one; closed with this one. The last gives the name.
    """

    def __init__(self, devices: Sequence[Device]) -> None:
        self.name, self._devices = devices[-1].name, tuple(devices)

    def read(self) -> Motion:
        """The sum of all devices' motions, at most full speed. Raises DeviceError when one is gone."""
        motions = [device.read() for device in self._devices]
        return Motion(
            linear=np.clip(sum(motion.linear for motion in motions), -1.0, 1.0),
            angular=np.clip(sum(motion.angular for motion in motions), -1.0, 1.0),
            gripper=float(np.clip(sum(motion.gripper for motion in motions), -1.0, 1.0)),
            event=next((motion.event for motion in motions if motion.event is not Event.NONE), Event.NONE),
            in_control=next((motion.in_control for motion in motions if motion.in_control is not None), None),
        )

    def close(self) -> None:
        """Let go of all."""
        for device in self._devices:
            device.close()
