"""The gamepad, with a pad that SDL itself simulates."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from isthmus_datasets.recording.operator import DeviceError, Event
from isthmus_datasets.teleop.devices.gamepad import Gamepad
from isthmus_datasets.teleop.devices.library import library

os.environ |= {"SDL_VIDEODRIVER": "dummy", "PYGAME_HIDE_SUPPORT_PROMPT": "1"}
pygame = pytest.importorskip("pygame", reason="needs pygame: pip install 'isthmus[teleop]'")

PAD = 1  # SDL_JOYSTICK_TYPE_GAMECONTROLLER
LEFT_X, LEFT_Y, RIGHT_X, RIGHT_Y, LEFT_TRIGGER, RIGHT_TRIGGER = range(6)
A, B, X, Y, BACK, GUIDE, START = range(7)
LEFT_SHOULDER, RIGHT_SHOULDER, CROSS_UP = 9, 10, 11


class Pad:
    """Plugged in from the beginning. Axes are -1..1."""

    def __init__(self) -> None:
        pygame.display.init()
        pygame.joystick.init()
        maps = Path("/proc/self/maps").read_text()
        self.sdl = ctypes.CDLL(next(re.finditer(r"/\S*libSDL2-2\S*", maps)).group())
        self.sdl.SDL_JoystickOpen.restype = ctypes.c_void_p
        self.plug_in()

    def plug_in(self, kind: int = PAD) -> None:
        self.number = self.sdl.SDL_JoystickAttachVirtual(kind, 6, 15, 0)
        self.joystick = ctypes.c_void_p(self.sdl.SDL_JoystickOpen(self.number))
        self.push({LEFT_TRIGGER: -1.0, RIGHT_TRIGGER: -1.0})

    def unplug(self) -> None:
        self.sdl.SDL_JoystickDetachVirtual(self.number)

    def push(self, axes: dict[int, float]) -> None:
        for axis, value in axes.items():
            self.sdl.SDL_JoystickSetVirtualAxis(self.joystick, axis, ctypes.c_int16(round(32767 * value)))

    def press(self, button: int, down: bool = True) -> None:
        self.sdl.SDL_JoystickSetVirtualButton(self.joystick, button, ctypes.c_uint8(down))
        pygame.event.pump()


@pytest.fixture
def pad() -> Iterator[Pad]:
    if not sys.platform.startswith("linux"):
        pytest.skip("finds SDL as Linux does")
    pad = Pad()
    yield pad
    pad.unplug()
    pygame.event.pump()


@pytest.fixture
def gamepad(pad: Pad) -> Iterator[Gamepad]:
    gamepad = Gamepad(dead_zone=0.2, expo=0.5)
    yield gamepad
    gamepad.close()


def test_sticks_move_and_turn_in_the_persons_axes(pad: Pad, gamepad: Gamepad):
    pad.push({LEFT_Y: -1.0})
    np.testing.assert_allclose(gamepad.read().linear, (1, 0, 0), atol=1e-4)
    pad.push({LEFT_Y: 0.0, LEFT_X: 1.0, RIGHT_X: -1.0})
    motion = gamepad.read()
    np.testing.assert_allclose(motion.linear, (0, -1, 0), atol=1e-4)
    np.testing.assert_allclose(motion.angular, (0, 0, 1), atol=1e-4)
    pad.push({LEFT_X: 0.0, RIGHT_X: 0.0, RIGHT_Y: -1.0})
    pad.press(CROSS_UP)
    motion = gamepad.read()
    np.testing.assert_allclose(motion.linear, (0, 0, 1), atol=1e-4)
    np.testing.assert_allclose(motion.angular, (0, 1, 0), atol=1e-4)


def test_a_stick_is_still_near_its_middle_and_finer_near_it_than_near_its_end(pad: Pad, gamepad: Gamepad):
    pad.push({LEFT_X: 0.13, LEFT_Y: 0.13})
    np.testing.assert_array_equal(gamepad.read().linear, (0, 0, 0))
    pad.push({LEFT_X: 0.0, LEFT_Y: -0.6})  # half the way from 0.2 to 1: 0.5 · 0.5 + 0.5 · 0.5³
    np.testing.assert_allclose(gamepad.read().linear, (0.3125, 0, 0), atol=1e-3)
    pad.push({LEFT_X: -1.0, LEFT_Y: -1.0})  # into the corner: no faster than full speed, and the way it is pushed
    np.testing.assert_allclose(gamepad.read().linear, (0.7071, 0.7071, 0), atol=1e-3)


def test_triggers_open_and_close_the_gripper(pad: Pad, gamepad: Gamepad):
    assert gamepad.read().gripper == pytest.approx(0.0, abs=1e-3)
    pad.push({LEFT_TRIGGER: 1.0})
    assert gamepad.read().gripper == pytest.approx(1.0)
    pad.push({LEFT_TRIGGER: -1.0, RIGHT_TRIGGER: 0.0})
    assert gamepad.read().gripper == pytest.approx(-0.5, abs=1e-2)


def test_a_short_press_is_told_once(pad: Pad, gamepad: Gamepad):
    for button, event in ((START, Event.START), (A, Event.SUCCESS), (B, Event.STOP), (BACK, Event.DISCARD),
                          (GUIDE, Event.QUIT)):  # fmt: skip
        pad.press(button)
        pad.press(button, down=False)
        assert gamepad.read().event is event
        assert gamepad.read().event is Event.NONE
    pad.press(RIGHT_SHOULDER)
    assert gamepad.read().in_control is True
    assert gamepad.read().in_control is None  # it is still held
    pad.press(LEFT_SHOULDER)
    assert gamepad.read().in_control is False


def test_an_unplugged_pad_is_told_and_may_come_back(pad: Pad, gamepad: Gamepad):
    pad.push({LEFT_Y: -1.0})
    assert gamepad.read().linear[0] == pytest.approx(1.0, abs=1e-3)
    pad.unplug()
    with refused("gamepad | unplugged", DeviceError):
        gamepad.read()
    with refused("gamepad | plugged in", DeviceError):
        gamepad.read()
    pad.plug_in()
    assert gamepad.read().linear[0] == 0.0
    pad.push({LEFT_Y: -1.0})
    assert gamepad.read().linear[0] == pytest.approx(1.0, abs=1e-3)


def test_without_a_pad_one_is_asked_for(pad: Pad):
    pad.unplug()
    with refused("gamepad | plugged in", DeviceError):
        Gamepad()
    pad.plug_in()


def test_a_stick_without_a_known_layout_is_named(pad: Pad):
    pad.unplug()
    pad.plug_in(kind=0)
    with refused("SDL_GAMECONTROLLERCONFIG", DeviceError):
        Gamepad()


def test_a_library_that_is_not_installed_is_named():
    with refused("gamepad | flying-carpet | pip install flying-carpet", DeviceError):
        library("flying_carpet.wings", device="gamepad", package="flying-carpet")
