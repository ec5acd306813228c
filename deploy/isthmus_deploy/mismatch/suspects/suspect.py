"""What may be wrong, as the change that would undo it in a log: the one after which the log fits is the cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from isthmus_deploy.mismatch.motion import Array, Motion

KINDS: tuple[str, ...] = (
    "joint order", "sign", "offset", "unit", "frame or quaternion order", "gains", "delay", "action scale",
    "history direction", "control period", "saturated actuator", "dead sensor",
)  # fmt: skip

Undo = Callable[[Motion], Motion]


@dataclass(frozen=True, kw_only=True, eq=False)
class Suspect:
    """Something that may be wrong."""

    kind: str
    words: str
    undo: Undo
    """The log as it would be without it."""
    shrinks: float = 0.0
    """How much smaller `undo` makes readings, or how far they are from their commands: the sum of logarithms over
    elements. A log of which everything is made small fits whatever was wrong with it."""


def reading(name: str, change: Callable[[Array], Array]) -> Undo:
    """Undo by changing a reading (n, size)."""
    return lambda motion: motion.with_signals(**{name: change(motion.signals[name])})


def sent(name: str, change: Callable[[Array], Array]) -> Undo:
    """Undo by changing a command (n, size)."""
    return lambda motion: motion.with_commands(**{name: change(motion.commands[name])})
