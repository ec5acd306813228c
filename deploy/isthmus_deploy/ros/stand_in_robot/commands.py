"""Commands as a robot's drives take them: what came by when, and nothing after a silence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isthmus_deploy.ros.stand_in_robot.worlds.world import Array

DEAD_MAN_NS = 200_000_000  # Crazyflie firmware's time-out for set-points; drives of legged robots wait about as long


class Commands:
    """One command over time: the newest that had come by then, or none after a silence (dead-man).

    Args:
        minimum: Smallest value per element, in its unit; what is beyond is clipped.
        maximum: Largest one.
    """

    def __init__(self, minimum: Sequence[float], maximum: Sequence[float]) -> None:
        self._minimum, self._maximum = np.array(minimum), np.array(maximum)
        self._commands: list[tuple[int, Array]] = []
        self.dead = False
        """Whether there is no command for want of new ones, after there were some."""

    def receive(self, command: Array, now_ns: int) -> str | None:
        """Take a command that came at `now_ns`; returns why it was refused, or None."""
        if command.shape != self._maximum.shape:
            return f"{command.size} values for {self._maximum.size} motors"
        if not np.isfinite(command).all():
            return f"not finite: {command.tolist()}"
        self._commands.append((now_ns, np.clip(command, self._minimum, self._maximum)))
        return None

    def at(self, at_ns: int) -> Array | None:
        """The command that acts at a time, None for none; times must not go back."""
        while len(self._commands) > 1 and self._commands[1][0] <= at_ns:
            del self._commands[0]
        if not self._commands or self._commands[0][0] > at_ns:
            return None
        came_ns, command = self._commands[0]
        self.dead = at_ns - came_ns > DEAD_MAN_NS
        return None if self.dead else command
