"""What a robot's description consists of: signals, commands, joints, memories and physical parameters, each by name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

_EVERYTHING = (-math.inf, math.inf)


@dataclass(frozen=True, kw_only=True)
class SignalSpec:
    """One raw reading as the robot gives it.

    `order` names the elements of the last axis; `shape`, without the batch axis, is by default a vector of these, and
    (height, width, 3) for an image, whose `dtype` is "uint8". `minimum`, `maximum` and `max_jump` (largest credible
    change between two readings) are plausibility bounds per element of `order`, in `unit`: outside them the reading is
    a fault, not data. `max_age_s` is the longest silence (s) that the robot side tolerates; None for a goal, valid
    until replaced, or for `expires_s`: where its operator is silent for so long (s), it is zero. `max_still_s` is the
    time (s) after which a reading that stays the same, bit for bit, is that of a frozen sensor; None for what may stand
    still, such as an encoder of coarse steps. `sensor` names the message that the reading comes in: readings of one
    sensor are late together.
    """

    name: str
    unit: str
    frame: str
    order: tuple[str, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    max_jump: tuple[float, ...]
    max_age_s: float | None
    max_still_s: float | None = None
    shape: tuple[int, ...] = ()
    dtype: Literal["float32", "uint8"] = "float32"
    sensor: str = ""
    expires_s: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", self.shape or (len(self.order),))
        object.__setattr__(self, "sensor", self.sensor or self.name)

    @property
    def size(self) -> int:
        """How many numbers a reading has."""
        return math.prod(self.shape)

    @property
    def is_goal(self) -> bool:
        """Whether an operator gives it, and no sensor of the robot."""
        return self.max_age_s is None


@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """One command that the robot takes.

    `minimum`, `maximum` in `unit`; `max_rate` in `unit` per second; `safe` is sent when stopped, `standby` when armed.
    `transition_rate`, in `unit` per second, is how fast these two are approached: stand-by after arming, safe after a
    stop or a fault. None: stand-by at `max_rate`, safe at once.
    """

    name: str
    unit: str
    frame: str
    order: tuple[str, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    max_rate: tuple[float, ...]
    safe: tuple[float, ...]
    standby: tuple[float, ...]
    transition_rate: tuple[float, ...] | None = None
    dtype: ClassVar[str] = "float32"

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return len(self.order)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape without the batch axis: a command is a vector."""
        return (self.size,)


@dataclass(frozen=True, kw_only=True)
class JointSpec:
    """One joint: gains (N·m/rad, N·m·s/rad), position limits (rad), velocity (rad/s) and effort (N·m) limits, default
    (rad)."""

    stiffness: float
    damping: float
    position_min: float
    position_max: float
    velocity_limit: float
    effort_limit: float
    default_position: float


@dataclass(frozen=True, kw_only=True)
class MemorySpec:
    """State that the policy carries from one control step to the next: (*shape,) float32, `initial` at an episode's
    start."""

    name: str
    shape: tuple[int, ...]
    order: str
    initial: float


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A physical number that differs from unit to unit of a robot, or from place to place.

    `order` names its elements. `nominal` is what a unit has unless something else is known; `minimum` and `maximum`
    bound what is found among real ones: a stand-in robot draws from between. Outside `valid` there is no physics.
    """

    name: str
    unit: str
    order: tuple[str, ...]
    nominal: tuple[float, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    valid: tuple[float, float] = _EVERYTHING

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return len(self.order)


def scalar(
    name: str, unit: str, nominal: float, bounds: tuple[float, float], valid: tuple[float, float] = _EVERYTHING
) -> Parameter:
    """A parameter of one number."""
    low, high = bounds
    return Parameter(
        name=name, unit=unit, order=(name,), nominal=(nominal,), minimum=(low,), maximum=(high,), valid=valid
    )
