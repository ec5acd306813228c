"""What people at the page ask for: put down by the server's threads, taken up by the recorder's."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from isthmus_datasets.recording.operator import Event
from isthmus_datasets.teleop.devices.motion import Motion
from isthmus_datasets.teleop.keys import STILL, motion_of
from isthmus_datasets.teleop.operators.teleop_controller import ToolPose


class BrowserDevice:
    """A `Device`: keys of the page as a motion, its buttons as events. Every method may be called from any thread and
    returns at once, but `wait`.

    Args:
        hand_over: Starting an episode gives control to whoever else drives.
    """

    name = "browser"

    def __init__(self, *, hand_over: bool = False) -> None:
        self._changed, self._hand_over = threading.Condition(), hand_over
        self._held: set[str] = set()
        self._event, self._in_control = Event.NONE, None
        self._drag: ToolPose | None = None
        self._gripper: float | None = None
        self._quit = False
        self._people, self._left_at = 0, time.monotonic()

    # --- from the page ---

    def ask(self, event: Event) -> None:
        """A button; the last one counts, but quitting is never taken back."""
        with self._changed:
            self._event = event
            self._quit |= event is Event.QUIT
            self._changed.notify_all()

    def control(self, human: bool) -> None:
        """Take over, or give back."""
        with self._changed:
            self._in_control = human

    def key(self, key: str) -> None:
        """A key of `keys.MOVES` went down, or STILL."""
        with self._changed:
            if key == STILL:
                self._held.clear()
            else:
                self._held.add(key)

    def drag(self, position: ArrayLike, wxyz: ArrayLike) -> None:
        """The target was dragged there: (3,) m and (4,), world."""
        with self._changed:
            self._drag = np.array(position, np.float64), np.array(wxyz, np.float64)

    def grip(self, opening: float) -> None:
        """The gripper's slider: 0 closed .. 1 open."""
        with self._changed:
            self._gripper = opening

    def came(self) -> None:
        """One more browser shows the page."""
        with self._changed:
            self._people += 1

    def left(self) -> None:
        """One less; what it held it holds no more."""
        with self._changed:
            self._people -= 1
            self._held.clear()
            self._drag = None
            self._left_at = time.monotonic()

    # --- from the recorder ---

    def read(self) -> Motion:
        """What is asked for now; what was pressed is told once, QUIT always."""
        with self._changed:
            event, in_control = Event.QUIT if self._quit else self._event, self._in_control
            self._event, self._in_control = Event.NONE, None
            motion = motion_of(self._held)
        if event is Event.START and self._hand_over:
            in_control = False
        return replace(motion, event=event, in_control=in_control)

    def take_drag(self) -> ToolPose | None:
        """Where the target was dragged since the last call."""
        with self._changed:
            drag, self._drag = self._drag, None
            return drag

    def take_gripper(self) -> float | None:
        """Where the slider was put since the last call."""
        with self._changed:
            gripper, self._gripper = self._gripper, None
            return gripper

    @property
    def alone_s(self) -> float:
        """For how long no browser has shown the page; 0 while one does."""
        with self._changed:
            return 0.0 if self._people else time.monotonic() - self._left_at

    def wait(self) -> Event:
        """Until somebody starts or quits; which of them."""
        with self._changed:
            self._changed.wait_for(lambda: self._quit or self._event is Event.START)
            self._event = Event.NONE
            return Event.QUIT if self._quit else Event.START

    def close(self) -> None:
        """Nothing is held."""
