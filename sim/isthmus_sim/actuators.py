"""What makes forces of commands: the kinds of actuators, one formula each, for every engine and for the stand-in robot.

The formulas themselves are in `actuator_formulas`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus_sim.residual import Residual
from isthmus_sim.specs import JointSpec, Parameter, scalar


@dataclass(frozen=True, kw_only=True)
class Motor:
    """A joint's drive, at the joint: behind gearbox and linkage.

    effort_limit N·m; no_load_speed rad/s; corner_speed rad/s, up to which the motor reaches its effort limit; armature
    kg·m², the rotor's inertia times the gear ratio squared; friction N·m, dry; damping N·m·s/rad, viscous.
    """

    effort_limit: float
    no_load_speed: float
    corner_speed: float
    armature: float
    friction: float = 0.2
    damping: float = 0.01

    @property
    def saturation_effort(self) -> float:
        """Stall torque, N·m, of the straight torque-speed line through the corner: torque at speed v is at most
        saturation_effort * (1 - v / no_load_speed), and never above effort_limit."""
        return self.effort_limit / (1 - self.corner_speed / self.no_load_speed)


@dataclass(frozen=True, kw_only=True)
class PDMotors:
    """Joints under PD control at every physics step, each by a DC motor.

    The command is joint positions, rad, in the order of `joints`. Parameters: the gains, the share of the torque that
    arrives, and the time (s, at most a control period) in which the target before still acts.

    Args:
        command: Name of the command.
        joints: Name -> gains and limits.
        motors: Name -> drive.
        delay_s: Bounds of the time until a target acts on a real unit, s.
        strength: Bounds of the share of the torque that arrives on a real unit.
        gains: Bounds of the factor of stiffness and damping on a real unit.
        prefix: What the names of its parameters begin with, for a robot with several groups of such joints.
    """

    command: str
    joints: Mapping[str, JointSpec]
    motors: Mapping[str, Motor]
    delay_s: tuple[float, float] = (0.0, 0.015)
    strength: tuple[float, float] = (0.85, 1.0)
    gains: tuple[float, float] = (0.9, 1.1)
    prefix: str = ""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """stiffness, damping, strength by joint, and command_delay_s, each with the prefix before its name."""
        names = tuple(self.joints)
        stiffness, damping = (
            tuple(getattr(joint, gain) for joint in self.joints.values()) for gain in ("stiffness", "damping")
        )
        return (
            self._scaled("stiffness", "N·m/rad", stiffness),
            self._scaled("damping", "N·m·s/rad", damping),
            Parameter(
                name=f"{self.prefix}strength", unit="1", order=names, nominal=(1.0,) * len(names),
                minimum=(self.strength[0],) * len(names), maximum=(self.strength[1],) * len(names), valid=(0.0, 10.0),
            ),
            scalar(f"{self.prefix}command_delay_s", "s", 0.0, self.delay_s, (0.0, 10.0)),
        )  # fmt: skip

    def _scaled(self, name: str, unit: str, values: tuple[float, ...]) -> Parameter:
        low, high = (tuple(factor * value for value in values) for factor in self.gains)
        return Parameter(
            name=self.prefix + name, unit=unit, order=tuple(self.joints), nominal=values, minimum=low, maximum=high,
            valid=(0.0, 1e6),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LearnedMotors(PDMotors):
    """`PDMotors` that give what logs showed of them beside their formulas, in the engine 'mujoco'.

    Args:
        residuals: Joint -> what its motor gives beside; the others have none.

    Raises ValueError for a joint that there is not, or whose motor is not the one that a residual was learnt beside.
    """

    residuals: Mapping[str, Residual]

    def __post_init__(self) -> None:
        for joint, residual in self.residuals.items():
            if joint not in self.motors:
                raise ValueError(f"residuals: there is no joint {joint!r}; there are: {', '.join(self.motors)}")
            motor = self.motors[joint]
            residual.check_motor(joint, motor.saturation_effort, motor.no_load_speed)


@dataclass(frozen=True, kw_only=True)
class PositionServos:
    """Actuators of the model that hold what they are told: position servos with gains of their own in the MJCF.

    Args:
        command: Name of the command.
        actuators: Their names in the model, in the command's order.
        scale, offset: A control is scale * command + offset, where the model's unit is not the command's.
    """

    command: str
    actuators: tuple[str, ...]
    scale: tuple[float, ...] | None = None
    offset: tuple[float, ...] | None = None
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Torques:
    """Joints driven by torque, N·m, clipped to their effort limits by the model.

    Args:
        command: Name of the command.
        actuators: Motors of the model, in the command's order.
    """

    command: str
    actuators: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rotors:
    """Rotors whose speed follows its set-point, rad/s, with a lag; thrust goes with the square of the speed.

    Parameters, one number each: thrust_coefficient N/(rad/s)², time_constant_up and time_constant_down s, battery (the
    share of a commanded speed that is reached).

    Args:
        command: Name of the command.
        actuators: Motors of the model whose control is a thrust, N, in the command's order.
        parameters: The four above.
    """

    command: str
    actuators: tuple[str, ...]
    parameters: tuple[Parameter, ...]


Actuator = PDMotors | LearnedMotors | PositionServos | Torques | Rotors
"""One way in which commands become forces; `command` names the command, `parameters` what may differ."""
