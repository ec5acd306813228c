"""The SpaceMouse, through its real library on a simulated hidapi."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from refusals import refused

pytest.importorskip("pyspacemouse", reason="needs pyspacemouse: pip install 'isthmus[teleop]'")
import easyhid.easyhid

from isthmus_datasets.recording.operator import DeviceError
from isthmus_datasets.teleop.devices.spacemouse import SpaceMouse

ffi: Any = easyhid.easyhid.ffi
NAVIGATOR = (0x46D, 0xC626)


class Hid:
    """The C functions that are used, with one SpaceNavigator. Its reports: channel 1 is x right, y towards the person,
    z down; 2 is the turns about them; 3 the buttons (USB HID Usage Tables 4.2)."""

    def __init__(self) -> None:
        self.plugged_in, self.reports = True, deque()
        self.kept = [ffi.new("char[]", b"/dev/hidraw7"), ffi.new("wchar_t[]", "3Dconnexion")]

    def report(self, channel: int, *values: int) -> None:
        data = bytes([channel]) + b"".join(value.to_bytes(2, "little", signed=True) for value in values)
        self.reports.append(data)

    def hid_enumerate(self, vendor: int, product: int) -> Any:
        if not self.plugged_in:
            return ffi.NULL
        path, text = self.kept
        self.found = ffi.new("struct hid_device_info *")
        self.found.path, self.found.next = path, ffi.NULL
        self.found.vendor_id, self.found.product_id = NAVIGATOR
        self.found.manufacturer_string = self.found.product_string = self.found.serial_number = text
        return self.found

    def hid_free_enumeration(self, devices: Any) -> None:
        pass

    def hid_open_path(self, path: Any) -> Any:
        return ffi.cast("hid_device *", 1)

    def hid_set_nonblocking(self, device: Any, nonblocking: int) -> int:
        return 0

    def hid_read(self, device: Any, data: Any, length: int) -> int:
        if not self.plugged_in:
            return -1
        if not self.reports:
            return 0
        report = self.reports.popleft()
        ffi.memmove(data, report, len(report))
        return len(report)

    def hid_close(self, device: Any) -> None:
        pass


@pytest.fixture
def hid(monkeypatch: pytest.MonkeyPatch) -> Hid:
    hid = Hid()
    monkeypatch.setattr(easyhid.easyhid, "hidapi", hid)
    return hid


def test_it_moves_and_turns_in_the_persons_axes(hid: Hid):
    mouse = SpaceMouse(dead_zone=0.0)
    hid.report(1, 175, -350, -350)  # to the right, away, up
    hid.report(2, 350, 0, -175)  # about the axis to the right; anticlockwise from above
    motion = mouse.read()
    np.testing.assert_allclose(motion.linear, (1.0, -0.5, 1.0))
    np.testing.assert_allclose(motion.angular, (0.0, -1.0, 0.5))


def test_the_newest_of_many_reports_counts(hid: Hid):
    mouse = SpaceMouse(dead_zone=0.0)
    for push in range(100):
        hid.report(1, 0, -push, 0)
    assert mouse.read().linear[0] == pytest.approx(99 / 350)
    assert mouse.read().linear[0] == pytest.approx(99 / 350)  # still held, though nothing new was sent
    hid.report(1, 0, 0, 0)
    assert mouse.read().linear[0] == 0.0


def test_a_hand_that_rests_on_it_does_not_move_it(hid: Hid):
    mouse = SpaceMouse(dead_zone=0.1)
    hid.report(1, 35, -34, -350)
    np.testing.assert_allclose(mouse.read().linear, (0.0, 0.0, 1.0), atol=1e-9)


def test_its_buttons_close_and_open_the_gripper(hid: Hid):
    mouse = SpaceMouse()
    for buttons, gripper in ((1, -1.0), (2, 1.0), (0, 0.0)):
        hid.report(3, buttons)
        assert mouse.read().gripper == gripper


def test_one_that_was_unplugged_may_come_back(hid: Hid):
    mouse = SpaceMouse()
    hid.plugged_in = False
    with refused("SpaceMouse | unplugged", DeviceError):
        mouse.read()
    with refused("SpaceMouse | plugged in", DeviceError):
        mouse.read()
    hid.plugged_in = True
    hid.report(1, 0, -350, 0)
    assert mouse.read().linear[0] == 1.0


def test_without_hidapi_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(easyhid.easyhid, "hidapi", SimpleNamespace())
    with refused("SpaceMouse | apt install libhidapi-hidraw0", DeviceError):
        SpaceMouse()
