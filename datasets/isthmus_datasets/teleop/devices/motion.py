"""What a hand asks for, whatever it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.recording.operator import Event


def _still() -> NDArray[np.float64]:
    return np.zeros(3)


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """What a hand asks for now. Axes are the person's: x away from them, y to their left, z up.

    Args:
        linear: (3,), each -1..1 of full speed along an axis.
        angular: (3,), each -1..1 of full speed about an axis.
        gripper: -1 closes .. 1 opens, of full speed.
        event: What else is wanted; each press of a button is told once.
        in_control: True takes over, False gives back, None neither.
    """

    linear: NDArray[np.float64] = field(default_factory=_still)
    angular: NDArray[np.float64] = field(default_factory=_still)
    gripper: float = 0.0
    event: Event = Event.NONE
    in_control: bool | None = None


class Device(Protocol):
    """Something that a hand moves."""

    @property
    def name(self) -> str:
        """Such as "keyboard", for people."""
        ...

    def read(self) -> Motion:
        """At once. Raises DeviceError when it is gone; a later call looks whether it is back."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
