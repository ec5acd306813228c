"""What a robot is: the one description from which simulation, training, contract, ROS interface and datasets follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from isthmus_sim.actuators import Actuator
from isthmus_sim.specs import CommandSpec, JointSpec, Parameter, SignalSpec
from isthmus_sim.variations import Variation

Vector3 = tuple[float, float, float]


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
        safety: What the safety chain holds its commands to beyond range and rate, such as where a tool may be, in the
            form `Safety` of deploy's `contract.schema.json`; None for nothing more.
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
    safety: Mapping[str, Any] | None = None

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
