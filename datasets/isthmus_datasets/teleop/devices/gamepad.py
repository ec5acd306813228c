"""A gamepad, through SDL, which knows the layout of nearly every one.

| what is moved | what it does |
|---|---|
| left stick | away and towards, left and right |
| right stick | up and down, turn about the vertical |
| cross | turn about the axes left (up: forward) and away (right: to the right) |
| left, right trigger | open, close the gripper |
| Start | start |
| A, B, Back (View, Select) | success, stop and keep, discard |
| right, left shoulder | take over, give back |
| Guide | quit |
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from isthmus_datasets.recording.operator import DeviceError, Event
from isthmus_datasets.teleop.devices.library import library
from isthmus_datasets.teleop.devices.motion import Motion

_FULL = 32767.0
_EVENTS = {
    "START": Event.START,
    "A": Event.SUCCESS,
    "B": Event.STOP,
    "BACK": Event.DISCARD,
    "GUIDE": Event.QUIT,
}
_CONTROL = {"RIGHTSHOULDER": True, "LEFTSHOULDER": False}


class Gamepad:
    """The first pad that is plugged in. One that was unplugged may be plugged in again.

    Args:
        dead_zone: 0..1: how far from its middle a stick still counts as still.
        expo: 0..1: how much finer it is near its middle than near its end.

    Raises:
        DeviceError: pygame is not installed; there is no pad, or none whose layout is known.
    """

    name = "gamepad"

    def __init__(self, *, dead_zone: float = 0.12, expo: float = 0.4) -> None:
        # No window, and nothing printed; a pad counts although no window of ours is in front.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        os.environ.setdefault("SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", "1")
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        self._game: Any = library("pygame", device=self.name, package="pygame")
        self._sdl: Any = library("pygame._sdl2.controller", device=self.name, package="pygame")
        self._dead_zone, self._expo = dead_zone, expo
        self._pad: Any = None
        self._game.display.init()
        self._sdl.init()
        self._find()

    def _find(self) -> None:
        self._game.event.pump()
        known = [number for number in range(self._sdl.get_count()) if self._sdl.is_controller(number)]
        if known:
            self._pad = self._sdl.Controller(known[0])
            self._game.event.clear()
            return
        if self._sdl.get_count():
            raise DeviceError(
                self.name,
                f"SDL does not know the layout of {self._game.joystick.Joystick(0).get_name()!r}: give it in the "
                "environment variable SDL_GAMECONTROLLERCONFIG (gamecontrollerdb.txt has many)",
            )
        raise DeviceError(self.name, "none is plugged in, or /dev/input may not be read: plug it in and begin again")

    def read(self) -> Motion:
        """Sticks and triggers as they are, and buttons pressed since the last call. Raises DeviceError."""
        if self._pad is None:
            self._find()
        event, in_control = self._buttons()
        if not self._attached():
            raise DeviceError(self.name, "it was unplugged: plug it in and begin the next episode")
        left, up = self._stick("LEFT")
        turn, rise = self._stick("RIGHT")
        return Motion(
            linear=np.array((up, left, rise)),
            angular=np.array((self._pair("DPAD_RIGHT", "DPAD_LEFT"), self._pair("DPAD_UP", "DPAD_DOWN"), turn)),
            gripper=self._axis("TRIGGERLEFT") - self._axis("TRIGGERRIGHT"),
            event=event,
            in_control=in_control,
        )

    def _buttons(self) -> tuple[Event, bool | None]:
        """The last event and the last of the two that were asked for since the last call."""
        event, in_control = Event.NONE, None
        for said in self._game.event.get(self._game.CONTROLLERBUTTONDOWN):
            for name, meant in _EVENTS.items():
                event = meant if said.button == self._number(name) else event
            for name, meant in _CONTROL.items():
                in_control = meant if said.button == self._number(name) else in_control
        self._game.event.clear()
        return event, in_control

    def _attached(self) -> bool:
        if not self._pad.attached():
            self._pad = None
        return self._pad is not None

    def _number(self, button: str) -> int:
        return getattr(self._game, f"CONTROLLER_BUTTON_{button}")

    def _axis(self, name: str) -> float:
        value = self._pad.get_axis(getattr(self._game, f"CONTROLLER_AXIS_{name}"))
        return float(np.clip(value / _FULL, -1.0, 1.0))

    def _stick(self, side: str) -> tuple[float, float]:
        """To the left and up, -1..1 each; still within the dead zone, and the direction always the hand's."""
        x, y = self._axis(f"{side}X"), self._axis(f"{side}Y")
        far = min(1.0, math.hypot(x, y))
        if far <= self._dead_zone:
            return 0.0, 0.0
        pushed = (far - self._dead_zone) / (1.0 - self._dead_zone)
        speed = (1.0 - self._expo) * pushed + self._expo * pushed**3
        return -x / math.hypot(x, y) * speed, -y / math.hypot(x, y) * speed

    def _pair(self, forth: str, back: str) -> float:
        return float(self._pad.get_button(self._number(forth))) - float(self._pad.get_button(self._number(back)))

    def close(self) -> None:
        """Let go of the pad."""
        self._pad = None
        self._sdl.quit()
