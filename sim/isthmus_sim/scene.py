"""What is simulated: a robot, what stands around it, and what is to be read, by name, shape and unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from isthmus_sim.description import RobotDescription
from isthmus_sim.specs import Parameter
from isthmus_sim.variations import Variation

if TYPE_CHECKING:
    from isthmus_sim.scenes.terrain import Terrain

Kind = Literal[
    "position", "orientation", "linear_velocity", "angular_velocity",
    "joint_position", "joint_velocity", "joint_torque", "joint_power", "actuator",
    "site_position", "site_velocity", "contact_force", "sensor", "mocap_position", "parameter", "camera",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One named tensor that an engine reads: (num_envs, *shape) float32.

    Kinds. A free body: position m, orientation wxyz world_from_body, linear_velocity m/s (world, of its origin),
    angular_velocity rad/s (body). Joints: joint_position rad or m, joint_velocity; joint_torque N·m at the joint and
    joint_power W, means over the last control period. actuator: what actuators remember, such as the last target (rad)
    or rotor speeds (rad/s). Sites: site_position m and site_velocity m/s (world), contact_force N (the sum of normal
    forces within the site's volume). sensor: the model's own sensors. mocap_position m: of bodies that a task puts
    somewhere. parameter: a physical parameter, as it was set. camera: an image (height, width, 3) uint8 RGB.

    What follows from positions (sites, sensors) is as the last physics step found it.
    """

    name: str
    kind: Kind
    of: tuple[str, ...]
    shape: tuple[int, ...]
    unit: str
    frame: str = ""

    @property
    def settable(self) -> bool:
        """Whether a reset may give it."""
        return self.kind in _SETTABLE


_SETTABLE = {
    "position", "orientation", "linear_velocity", "angular_velocity", "joint_position", "joint_velocity", "actuator",
    "mocap_position",
}  # fmt: skip


def free_body(body: str, prefix: str = "") -> tuple[Quantity, ...]:
    """Pose and velocities of a body with a free joint: PREFIXposition and so on."""

    def one(kind: Kind, size: int, unit: str, frame: str) -> Quantity:
        return Quantity(name=prefix + kind, kind=kind, of=(body,), shape=(size,), unit=unit, frame=frame)

    return (
        one("position", 3, "m", "world"),
        one("orientation", 4, "1", "world_from_body"),
        one("linear_velocity", 3, "m/s", "world"),
        one("angular_velocity", 3, "rad/s", "body"),
    )


def joint_motion(joints: tuple[str, ...], prefix: str = "joint_") -> tuple[Quantity, ...]:
    """Positions and velocities of joints: PREFIXposition, PREFIXvelocity."""
    size = (len(joints),)
    return (
        Quantity(name=f"{prefix}position", kind="joint_position", of=joints, shape=size, unit="rad", frame="joint"),
        Quantity(name=f"{prefix}velocity", kind="joint_velocity", of=joints, shape=size, unit="rad/s", frame="joint"),
    )


def joint_load(joints: tuple[str, ...]) -> tuple[Quantity, ...]:
    """What the drives of the joints give: joint_torque and joint_power."""
    size = (len(joints),)
    return (
        Quantity(name="joint_torque", kind="joint_torque", of=joints, shape=size, unit="N·m", frame="joint"),
        Quantity(name="joint_power", kind="joint_power", of=joints, shape=size, unit="W", frame="joint"),
    )


def feet(sites: tuple[str, ...]) -> tuple[Quantity, ...]:
    """Where feet are, how fast, and what they carry: foot_position, foot_velocity, foot_force."""
    n = len(sites)
    return (
        Quantity(name="foot_position", kind="site_position", of=sites, shape=(n, 3), unit="m", frame="world"),
        Quantity(name="foot_velocity", kind="site_velocity", of=sites, shape=(n, 3), unit="m/s", frame="world"),
        Quantity(name="foot_force", kind="contact_force", of=sites, shape=(n,), unit="N"),
    )


def remembered(size: int, unit: str) -> Quantity:
    """What the robot's actuators remember: "actuator"."""
    return Quantity(name="actuator", kind="actuator", of=(), shape=(size,), unit=unit)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A robot in its surroundings.

    Args:
        robot: Whose actuators and commands these are.
        timestep_s: Physics step, s; it divides the robot's control period.
        quantities: What engines read.
        model: `model(looks)` gives the MJCF of all of it, as text or `mujoco.MjSpec`; by default the robot's own.
        variations: What may differ from world to world beside the robot itself.
        terrain: The ground, in the place of the model's geom `ground`; None for the model's own.
        ground: Name of that geom.
    """

    robot: RobotDescription
    timestep_s: float
    quantities: tuple[Quantity, ...]
    model: Callable[[bool], Any] | None = None
    variations: tuple[Variation, ...] = ()
    terrain: Terrain | None = None
    ground: str = "ground"

    @property
    def all_variations(self) -> tuple[Variation, ...]:
        """The robot's and those of what stands around it."""
        return (*self.robot.variations, *self.variations)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What may differ from world to world: the robot's and those of what stands around it."""
        return (*self.robot.parameters, *(p for variation in self.variations for p in variation.parameters))

    def source(self, looks: bool = False) -> Any:
        """The model as text or `mujoco.MjSpec`. Raises ValueError for a robot without one, or with another thing."""
        model = self.model or self.robot.model
        if model is None:
            raise ValueError(f"the robot {self.robot.name!r} has no model, so no physics engine can simulate it")
        source = model(looks)
        is_text = isinstance(source, str) and "<" in source
        if not is_text and not hasattr(source, "compile"):  # an MjSpec has it; this module knows no MuJoCo
            given = repr(source) if isinstance(source, str) else f"a {type(source).__name__}"
            raise ValueError(f"the model of {self.robot.name!r} is {given}, not MJCF as text or a mujoco.MjSpec")
        return source


def legged_scene(robot: RobotDescription, terrain: Terrain | None = None, timestep_s: float = 0.005) -> Scene:
    """A robot with legs on flat ground or on terrain: base, joints, drives and feet are read."""
    assert robot.base is not None, "a walking robot has a free base"
    joints = tuple(robot.joints)
    return Scene(
        robot=robot,
        timestep_s=timestep_s,
        terrain=terrain,
        quantities=(
            *free_body(robot.base),
            *joint_motion(joints),
            *joint_load(joints),
            *feet(robot.feet),
            remembered(len(joints), "rad"),
        ),
    )
