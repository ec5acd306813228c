"""What the commands after a fault say: was the robot told to stop, how soon, and to stay so?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus_deploy.contracts.limits import Command
from isthmus_deploy.ros.stand_in_robot.faults import Aftermath

Commands = Sequence[tuple[int, NDArray]]
"""When each command came, monotonic ns, and what it said."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended."""

    safe: bool
    """Whether it was safe, and within its bound."""
    what: str
    time_s: float | None = None
    """From the fault to the first safe command, or the first one on the slow way there; None where none was needed."""


def beyond_limits(commands: Commands, limits: Command) -> str | None:
    """What is wrong with a command that must never have been sent; None where there is none."""
    low, high = np.array(limits.minimum), np.array(limits.maximum)
    for _, command in commands:
        if not np.isfinite(command).all():
            return "a command was not finite"
        if (command < low).any() or (command > high).any():
            return "a command was out of range"
    return None


def judge(
    commands: Commands, limits: Command, begun_ns: int, *, bound_s: float | None = None, stray: int = 0
) -> Outcome:
    """Whether the robot was told to stop.

    Args:
        commands: All of the run.
        limits: What they are held to.
        begun_ns: When the fault began.
        bound_s: How long after it the robot may be told to move; None for as long as it stays within its limits.
        stray: How many commands may move it after the first safe one.
    """
    if problem := beyond_limits(commands, limits):
        return Outcome(safe=False, what=problem)
    slowly = limits.transition_rate is not None
    aftermath = _aftermath(commands, limits, begun_ns, slowly)
    if aftermath is None:
        return Outcome(safe=False, what="no safe command came")
    safe_ns = begun_ns + aftermath["safe_after_s"] * 1e9
    if sum((command != np.array(limits.safe)).any() for came_ns, command in commands if came_ns > safe_ns) > stray:
        return Outcome(safe=False, what="it was told to move again")
    time_s = aftermath["stopped_after_s"]
    late = bound_s is not None and time_s > bound_s
    what = f"{'late: ' if late else ''}{'on its way' if slowly else 'safe'} after {1e3 * time_s:.1f} ms"
    return Outcome(safe=not late, what=what, time_s=time_s)


def _aftermath(commands: Commands, limits: Command, begun_ns: int, slowly: bool) -> dict[str, float | int] | None:
    aftermath = Aftermath(limits.safe, slowly=slowly)
    for came_ns, command in commands:
        if came_ns >= begun_ns:
            aftermath.begin(begun_ns)
        aftermath.note_command(came_ns, command)
    return aftermath.summary()
