"""Hold-to-run: the robot is driven only while a person holds a button of a gamepad (sensor_msgs/Joy)."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node
from sensor_msgs.msg import Joy

from isthmus_deploy.ros import qos

_SILENCE_S = 0.3  # joy_node repeats itself at 20 Hz by default, so this many seconds are six messages


class HoldToRun:
    """A button that must be held. A gamepad that falls silent has let go.

    Args:
        button: Its place in `Joy.buttons`.
        clock: Monotonic time in nanoseconds.
    """

    def __init__(self, button: int, *, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._button, self._clock = button, clock
        self._held = False
        self._heard_ns: int | None = None

    def subscribe(self, node: Node) -> None:
        """Listen to `joy`, in the robot's namespace."""
        node.create_subscription(Joy, "joy", self.receive, qos.SENSOR)

    def receive(self, message: Joy) -> None:
        """Take a message of the gamepad."""
        self._heard_ns = self._clock()
        self._held = self._button < len(message.buttons) and message.buttons[self._button] == 1

    def problem(self, now_ns: int) -> str | None:
        """Why the robot may not be driven now, in words; None while the button is held."""
        if self._heard_ns is None:
            return f"hold-to-run: no gamepad on joy, whose button {self._button} must be held"
        silent_s = (now_ns - self._heard_ns) * 1e-9
        if silent_s > _SILENCE_S:
            return f"hold-to-run: the gamepad has been silent for {silent_s:.1f} s"
        return None if self._held else f"hold-to-run: button {self._button} is not held"
