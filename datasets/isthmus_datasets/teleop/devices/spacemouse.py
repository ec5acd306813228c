"""A 3Dconnexion SpaceMouse: six axes at once; its left button closes the gripper, its right one opens it.

It has no buttons for events: hold it together with a keyboard or the page.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isthmus_datasets.recording.operator import DeviceError
from isthmus_datasets.teleop.devices.library import library
from isthmus_datasets.teleop.devices.motion import Motion

_MOST_REPORTS = 1000
_HID = "libhidapi is not installed: apt install libhidapi-hidraw0 (macOS: brew install hidapi)"
_ABSENT = (
    "none is plugged in, or it may not be read: plug it in; on Linux let its group read /dev/hidraw* "
    '(udev: KERNEL=="hidraw*", ATTRS{idVendor}=="256f", MODE="0660", TAG+="uaccess")'
)


class SpaceMouse:
    """The first one that is plugged in. One that was unplugged may be plugged in again.

    Args:
        dead_zone: 0..1: an axis that is pushed less counts as still.

    Raises:
        DeviceError: pyspacemouse or the system's hidapi is not installed; there is no SpaceMouse.
    """

    name = "SpaceMouse"

    def __init__(self, *, dead_zone: float = 0.08) -> None:
        self._mice: Any = library("pyspacemouse", device=self.name, package="pyspacemouse")
        self._gone: Any = library("easyhid", device=self.name, package="easyhid").HIDException
        self._dead_zone = dead_zone
        self._mouse: Any = None
        self._find()

    def _find(self) -> None:
        try:
            self._mouse = self._mice.open(axis_convention=self._mice.AxisConvention.ROS)
        except RuntimeError as error:
            raise DeviceError(self.name, _HID if "HID API" in str(error) else _ABSENT) from error

    def read(self) -> Motion:
        """As it is pushed now. Raises DeviceError."""
        if self._mouse is None:
            self._find()
        try:
            said = self._newest()
        except self._gone as error:
            self.close()
            raise DeviceError(self.name, "it was unplugged: plug it in and begin the next episode") from error
        pushed = np.clip((said.x, said.y, said.z, said.roll, said.pitch, said.yaw), -1.0, 1.0)
        far = np.maximum(np.abs(pushed) - self._dead_zone, 0.0) / (1.0 - self._dead_zone)
        asked = np.sign(pushed) * far
        closes, opens = [*said.buttons, 0, 0][:2]
        return Motion(linear=asked[:3], angular=asked[3:], gripper=float(opens) - float(closes))

    def _newest(self) -> Any:
        """It sends more often than we ask, and `read` takes one report only."""
        for _ in range(_MOST_REPORTS):
            before = self._mouse.read().t
            if self._mouse.read().t == before:
                break
        return self._mouse.read()

    def close(self) -> None:
        """Let go of it."""
        mouse, self._mouse = self._mouse, None
        if mouse is not None:
            mouse.close()
