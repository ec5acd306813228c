"""What a robot is: its signals, its commands, its joints. One source for simulation, training and contract."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class SignalSpec:
    """One raw reading as the robot gives it.

    `order` names the elements of the last axis. `minimum`, `maximum` and `max_jump` (largest credible change between
    two readings) are plausibility bounds per element, in `unit`: outside them the reading is a fault, not data.
    `max_age_s` is the longest silence (s) that the robot side tolerates; None for a goal, valid until replaced.
    """

    name: str
    unit: str
    frame: str
    order: tuple[str, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    max_jump: tuple[float, ...]
    max_age_s: float | None

    @property
    def size(self) -> int:
        return len(self.order)


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

    @property
    def size(self) -> int:
        return len(self.order)


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
class RobotSpec:
    """A robot: what it measures, what it takes, and how often (control period in seconds)."""

    name: str
    control_period_s: float
    signals: tuple[SignalSpec, ...]
    commands: tuple[CommandSpec, ...]
    joints: dict[str, JointSpec] = field(default_factory=dict)
