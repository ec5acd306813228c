"""What makes of a driver's message the one that a binding reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """Between a driver's type of message and the one that a binding knows."""

    message: type
    """The driver's."""
    read: Callable[[Any], Any] = lambda message: message
    """The driver's message as the binding's; raises BadMessage for one that cannot be read."""
    write: Callable[[Any], Any] = lambda message: message
    """The other way; a stand-in robot needs it."""
