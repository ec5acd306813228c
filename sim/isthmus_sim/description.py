"""What a robot is: the one description from which simulation, training, contract, ROS interface and datasets follow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from isthmus_sim.actuators import Actuator
    from isthmus_sim.variations import Variation

Vector3 = tuple[float, float, float]
_EVERYTHING = (-math.inf, math.inf)


@dataclass(frozen=True, kw_only=True)
class SignalSpec:
    """One raw reading as the robot gives it.

    `order` names the elements of the last axis; `shape`, without the batch axis, is by default a vector of these, and
    (height, width, 3) for an image, whose `dtype` is "uint8". `minimum`, `maximum` and `max_jump` (largest credible
    change between two readings) are plausibility bounds per element of `order`, in `unit`: outside them the reading is
    a fault, not data. `max_age_s` is the longest silence (s) that the robot side tolerates; None for a goal, valid
    until replaced. `sensor` names the message that the reading comes in: readings of one sensor are late together.
    """

    name: str
    unit: str
    frame: str
    order: tuple[str, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    max_jump: tuple[float, ...]
    max_age_s: float | None
    shape: tuple[int, ...] = ()
    dtype: Literal["float32", "uint8"] = "float32"
    sensor: str = ""

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


@dataclass(frozen=True, kw_only=True)
class Stance:
    """A pose in which the robot rests: joint positions (rad) in the order of `RobotDescription.joints`, and the height
    (m) of its base over flat ground, 0 for a base that is fixed."""

    joints: tuple[float, ...]
    height: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Looks:
    """How a robot is filmed: `distance` m of the camera, its azimuth and elevation in degrees, and its `turn` in
    degrees per second around the robot; `radius` m of the shadow below it; `mark` m of the ball where it should be;
    `on_ground`: whether its way is drawn on the ground."""

    distance: float = 1.5
    azimuth: float = 140.0
    elevation: float = -24.0
    turn: float = 3.0
    radius: float = 0.15
    mark: float = 0.02
    on_ground: bool = False


@dataclass(frozen=True, kw_only=True)
class RobotDescription:
    """A robot.

    Args:
        name: What it is called, also in contracts.
        control_period_s: Time between two commands, s.
        signals: What it measures and is asked for.
        commands: What it takes.
        joints: Its driven joints by name, in the order of every vector of joints.
        actuators: What makes forces of its commands, one an entry.
        variations: What differs from unit to unit in its body.
        model: `model(looks)` gives its MJCF, as text or as a `mujoco.MjSpec`; with `looks` also what is only seen.
        base: The body that moves freely, None for a robot that is fixed.
        legs: Foot -> the joints of its leg. A foot is a site whose volume holds the foot's contacts.
        mass: kg, all of it.
        stances: Poses in which it rests; a robot with a free base has "stand".
        mirror: Left-right symmetry: joint -> the joint on the other side and the sign of its angle there; empty for a
            robot that has none.
        looks: How it is filmed.
        model_source: Where the model comes from, for provenance: "own", or a file.
    """

    name: str
    control_period_s: float
    signals: tuple[SignalSpec, ...]
    commands: tuple[CommandSpec, ...]
    joints: Mapping[str, JointSpec] = field(default_factory=dict)
    actuators: tuple[Actuator, ...] = ()
    variations: tuple[Variation, ...] = ()
    model: Callable[[bool], Any] | None = None
    base: str | None = None
    legs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mass: float = 0.0
    stances: Mapping[str, Stance] = field(default_factory=dict)
    mirror: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    looks: Looks = Looks()
    model_source: str = "own"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What may differ from unit to unit: of its actuators and of its body."""
        sources = (*self.actuators, *self.variations)
        return tuple(parameter for source in sources for parameter in source.parameters)

    @property
    def feet(self) -> tuple[str, ...]:
        """Sites of its feet, in the order of its legs."""
        return tuple(self.legs)

    def signal(self, name: str) -> SignalSpec:
        """The signal of this name. Raises ValueError naming those there are."""
        return _named(self, "signal", name, self.signals)

    def command(self, name: str) -> CommandSpec:
        """The command of this name. Raises ValueError naming those there are."""
        return _named(self, "command", name, self.commands)

    @property
    def default_pose(self) -> tuple[float, ...]:
        """Default joint positions, rad, in the order of `joints`."""
        return tuple(joint.default_position for joint in self.joints.values())


def with_camera(robot: RobotDescription, name: str, camera: str, size: tuple[int, int]) -> RobotDescription:
    """The robot with one more signal: the image of the model's `camera`, of `size` (height, width) pixels."""
    image = SignalSpec(
        name=f"camera_{camera}", unit="1", frame=f"camera:{camera}", order=("r", "g", "b"), shape=(*size, 3),
        dtype="uint8", minimum=(0.0,) * 3, maximum=(255.0,) * 3, max_jump=(255.0,) * 3, max_age_s=0.3,
    )  # fmt: skip
    return replace(robot, name=name, signals=(*robot.signals, image))


def _named(robot: RobotDescription, kind: str, name: str, items: tuple[Any, ...]) -> Any:
    for item in items:
        if item.name == name:
            return item
    raise ValueError(f"{robot.name} has no {kind} {name!r}; it has: {', '.join(i.name for i in items) or 'none'}")
