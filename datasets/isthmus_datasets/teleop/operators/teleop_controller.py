"""What turns the wish of a hand into a robot's action."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import ArrayLike, NDArray

from isthmus_datasets.recording.robot import Observation
from isthmus_datasets.teleop.devices.motion import Motion

ToolPose = tuple[NDArray[Any], NDArray[Any]]
"""Position (3,) m and orientation (4,) wxyz, in the world."""


class TeleopController(Protocol):
    """A target for the robot's tool, and the actions that lead there."""

    gripper: float
    """0 closed .. 1 open; may be set."""

    @property
    def target(self) -> ToolPose:
        """Where the tool shall go, for drawing."""
        ...

    def reset(self, observation: Observation, sent: NDArray[Any] | None = None) -> None:
        """The target is where the robot is. `sent`: the action that it has from somebody else, if one is known: what it
        holds in its gripper it goes on holding."""
        ...

    def move(self, motion: Motion, dt_s: float) -> None:
        """The target goes along with a hand for so long."""
        ...

    def goto(self, position: ArrayLike, wxyz: ArrayLike) -> None:
        """The target is there: (3,) m and (4,), in the world. A robot that cannot reach it all goes to near it."""
        ...

    def action(self, observation: Observation) -> NDArray[Any]:
        """What leads the robot to the target, as it declares its actions; called once per step."""
        ...
