"""The keyboard of the terminal that the program runs in.

| keys | what |
|---|---|
| w s, or the arrows up and down | away from the person, towards them |
| a d, or the arrows | left, right |
| e q | up, down |
| u o, i k, j l | turn about the axes away (o: to the right), left (i: forward) and up (j: to the left) |
| v c | open, close the gripper |
| r | start |
| f, p, x | success, stop and keep, discard |
| t b | take over, give back |
| Ctrl-D | quit |

A terminal tells that a key went down, and again and again while it is held, but not that it came up: a key counts as
held until it was silent for `release_s`. Of several keys held together a terminal repeats the last one only.
"""

from __future__ import annotations

import atexit
import os
import re
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterable

import numpy as np

from isthmus_datasets.recording.operator import DeviceError, Event
from isthmus_datasets.teleop.devices.motion import Motion

MOVES: dict[str, tuple[int, float]] = {
    "w": (0, 1.0), "s": (0, -1.0), "a": (1, 1.0), "d": (1, -1.0), "e": (2, 1.0), "q": (2, -1.0),
    "up": (0, 1.0), "down": (0, -1.0), "left": (1, 1.0), "right": (1, -1.0),
    "o": (3, 1.0), "u": (3, -1.0), "i": (4, 1.0), "k": (4, -1.0), "j": (5, 1.0), "l": (5, -1.0),
    "v": (6, 1.0), "c": (6, -1.0),
}  # fmt: skip
"""Key -> which of linear x, y, z, angular x, y, z and gripper, and which way."""
EVENTS = {"r": Event.START, "f": Event.SUCCESS, "p": Event.STOP, "x": Event.DISCARD, "\x04": Event.QUIT}
CONTROL = {"t": True, "b": False}
_ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
_KEY = re.compile(r"\x1b[\[O][0-9;]*(?P<arrow>[A-Za-z~])|(?P<key>[^\x1b])")


class Keyboard:
    """A terminal's keys as a hand. The terminal is as it was after `close`, and after a program that failed.

    Args:
        terminal: File descriptor; the standard input if None.
        release_s: Longer than the pause between two repetitions of a held key, also over a slow network.
        now: Monotonic time, s.

    Raises:
        DeviceError: it is no terminal.
    """

    name = "keyboard"

    def __init__(
        self, *, terminal: int | None = None, release_s: float = 0.15, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._terminal = sys.stdin.fileno() if terminal is None else terminal
        if not os.isatty(self._terminal):
            raise DeviceError(self.name, "the standard input is no terminal: start it in one, or use another device")
        self._release_s, self._now = release_s, now
        self._pressed: dict[str, float] = {}
        self._before: list | None = termios.tcgetattr(self._terminal)
        atexit.register(self.close)
        tty.setcbreak(self._terminal, termios.TCSANOW)

    def read(self) -> Motion:
        """What is held now and what was pressed since the last call; the last of several events. Raises DeviceError."""
        now, event, in_control = self._now(), Event.NONE, None
        for key in self._keys():
            event, in_control = EVENTS.get(key, event), CONTROL.get(key, in_control)
            if key in MOVES:
                self._pressed[key] = now
        self._pressed = {key: since for key, since in self._pressed.items() if now - since < self._release_s}
        asked = np.zeros(7)
        for key in self._pressed:
            element, way = MOVES[key]
            asked[element] = np.clip(asked[element] + way, -1.0, 1.0)
        return Motion(linear=asked[:3], angular=asked[3:6], gripper=float(asked[6]), event=event, in_control=in_control)

    def _keys(self) -> Iterable[str]:
        """Those that have come in: letters in lower case, arrows by name."""
        text = ""
        while select.select([self._terminal], [], [], 0.0)[0]:
            text += self._take()
        for match in _KEY.finditer(text):
            yield match["key"].lower() if match["key"] else _ARROWS.get(match["arrow"], "")

    def _take(self) -> str:
        try:
            data = os.read(self._terminal, 1024)
        except OSError as error:  # how Linux says that the other end has gone
            raise DeviceError(self.name, f"the terminal has gone: {error.strerror}") from error
        if not data:
            raise DeviceError(self.name, "the terminal has gone")
        return data.decode("utf-8", errors="replace")

    def close(self) -> None:
        """The terminal is as it was."""
        before, self._before = self._before, None
        atexit.unregister(self.close)
        if before is not None and os.isatty(self._terminal):
            termios.tcsetattr(self._terminal, termios.TCSADRAIN, before)
