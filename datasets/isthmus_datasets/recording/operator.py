"""What the recorder knows of an operator."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from isthmus_datasets.recording.robot import Observation


class DeviceError(RuntimeError):
    """A device is not there, or does not answer; the message names it and what to do."""

    def __init__(self, device: str, reason: str) -> None:
        super().__init__(f"{device}: {reason}")
        self.device = device


class Controller(enum.IntEnum):
    """Who was in control in a step. The numbers are what datasets hold, the same in all of them."""

    HUMAN = 0
    POLICY = 1
    SCRIPT = 2


class Event(enum.Enum):
    """What an operator wants besides moving the robot."""

    NONE = "none"
    START = "start"
    """Record from this step on."""
    SUCCESS = "success"
    """End the episode and keep it: the task is done."""
    STOP = "stop"
    """End the episode and keep it; whether the task is done, the robot may know."""
    TIME = "time"
    """The same, because it has lasted as long as it may."""
    DISCARD = "discard"
    """End the episode and forget it."""
    QUIT = "quit"
    """No more episodes; one in progress is forgotten."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Decision:
    """What to do upon an observation.

    Args:
        action: As the robot declares it; not sent when `event` ends the episode.
        control: Who decided it.
        event: What else is wanted.
        policy: Where a policy or script was asked beside the person who drives, what it would have done.
    """

    action: NDArray[Any]
    control: Controller
    event: Event = Event.NONE
    policy: NDArray[Any] | None = None


class Operator(Protocol):
    """A source of actions."""

    @property
    def name(self) -> str:
        """Who it is, for the dataset."""
        ...

    def reset(self, seed: int) -> None:
        """A new episode begins. What an operator draws at random depends on nothing but `seed`."""
        ...

    def decide(self, observation: Observation) -> Decision:
        """Called once per step; returns at once."""
        ...

    def close(self) -> None:
        """Let go of devices."""
        ...


class Driver(Operator, Protocol):
    """A policy or script, which a person may interrupt."""

    def resume(self) -> None:
        """A person takes over, or gives control back: what was planned before is stale. It is asked all the while, so
        what it has observed is not. While the person drives it plans as seldom as when it drives itself."""
        ...
