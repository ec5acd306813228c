"""The Crazyflie 2.x: two published parameter sets, its specification, and its MJCF.

Sources: Eschmann, Albani, Loianno, "Learning to Fly in Seconds" (2023), parameters of the public repository, for
`CRAZYFLIE`; the same authors' later identification (RAPTOR, 2025) for `CRAZYFLIE_IDENTIFIED`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus_sim.actuators import Rotors
from isthmus_sim.description import Looks, RobotDescription, Stance
from isthmus_sim.specs import CommandSpec, Parameter, SignalSpec
from isthmus_sim.variations import Array, rows

GRAVITY = 9.81  # m/s²
RPM = 2 * math.pi / 60  # rad/s
ROTORS = ("front_right", "rear_right", "rear_left", "front_left")
ROTOR_X = (1.0, -1.0, -1.0, 1.0)  # signs of the arm, body frame: x forward, y left
ROTOR_Y = (-1.0, -1.0, 1.0, 1.0)
ROTOR_YAW = (-1.0, 1.0, -1.0, 1.0)  # sign of the reaction torque about body z
MAX_ROTOR_SPEED = 21702 * RPM  # rad/s


@dataclass(frozen=True, kw_only=True)
class QuadrotorParameters:
    """Physical parameters of one quadrotor.

    mass kg; inertia (3,) kg·m², diagonal, body frame; arm m, |x| and |y| of each rotor; thrust_coefficient N/(rad/s)²;
    torque_ratio m, yaw torque per thrust; time_constant_up and _down s, first-order lag of the rotor speed; battery,
    the share of a commanded rotor speed that is reached.
    """

    mass: float
    inertia: tuple[float, float, float]
    arm: float = 0.028
    thrust_coefficient: float = 3.16e-10 / RPM**2
    torque_ratio: float = 0.005964552
    time_constant_up: float
    time_constant_down: float
    battery: float = 1.0

    @property
    def hover_speed(self) -> float:
        """Rotor speed set-point at which thrust carries the weight, rad/s."""
        return math.sqrt(self.mass * GRAVITY / (4 * self.thrust_coefficient)) / self.battery


CRAZYFLIE = QuadrotorParameters(
    mass=0.027, inertia=(3.85e-6, 3.85e-6, 5.9675e-6), time_constant_up=0.15, time_constant_down=0.15
)
CRAZYFLIE_IDENTIFIED = QuadrotorParameters(
    mass=0.0306, inertia=(9.42e-6, 9.64e-6, 17.5e-6), time_constant_up=0.055, time_constant_down=0.249
)

PARAMETER_SIZES = {
    "mass": 1, "inertia": 3, "arm": 1, "thrust_coefficient": 1, "torque_ratio": 1,
    "time_constant_up": 1, "time_constant_down": 1, "battery": 1,
}  # fmt: skip
FACTORS = {
    "mass": (0.95, 1.05), "inertia": (0.85, 1.15), "arm": (1.0, 1.0), "thrust_coefficient": (0.9, 1.1),
    "torque_ratio": (0.8, 1.2), "time_constant_up": (0.8, 1.2), "time_constant_down": (0.8, 1.2),
    "battery": (0.92, 1.0),
}  # fmt: skip
"""How real airframes differ from what lies between the two published sets: thrust by propeller wear and air density, a
set-point by the battery's sag."""


def parameter_tensors(parameters: QuadrotorParameters, n: int) -> dict[str, Tensor]:
    """The parameters of n equal worlds: name -> (n, size) float32."""
    return {
        name: torch.tensor(getattr(parameters, name), dtype=torch.float32).reshape(1, size).repeat(n, 1)
        for name, size in PARAMETER_SIZES.items()
    }


def _in_a_row(parameters: QuadrotorParameters) -> Tensor:
    return torch.cat([tensor[0] for tensor in parameter_tensors(parameters, 1).values()])


_PUBLISHED = _in_a_row(CRAZYFLIE), _in_a_row(CRAZYFLIE_IDENTIFIED)
_LOW, _HIGH = torch.tensor([FACTORS[name] for name in PARAMETER_SIZES]).unbind(-1)
_NUMBERS = list(PARAMETER_SIZES.values())
_FACTOR_OF = torch.arange(len(_NUMBERS)).repeat_interleave(torch.tensor(_NUMBERS))


def sample_parameters(n: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw n quadrotors between and around the two published sets: name -> (n, size) float32.

    One blend factor moves mass, inertia and motor lag together from `CRAZYFLIE` to `CRAZYFLIE_IDENTIFIED`, since a
    heavier airframe is also the one with more inertia; each parameter then varies by itself, within `FACTORS`. All are
    drawn at once: some worlds are drawn anew in every step, and each operation costs its dispatch.
    """
    blend, share = torch.rand(n, 1 + len(_NUMBERS), generator=generator).split((1, len(_NUMBERS)), dim=-1)
    factor = torch.lerp(_LOW, _HIGH, share)
    drawn = torch.lerp(*_PUBLISHED, blend) * factor[:, _FACTOR_OF]
    return dict(zip(PARAMETER_SIZES, drawn.split(_NUMBERS, dim=-1), strict=True))


def one_quadrotor(drawn: dict[str, Tensor]) -> QuadrotorParameters:
    """The single quadrotor in `drawn`, name -> (1, size)."""
    values = {name: tuple(row[0].tolist()) for name, row in drawn.items()}
    scalars = {name: value[0] for name, value in values.items() if name != "inertia"}
    return QuadrotorParameters(inertia=values["inertia"], **scalars)  # pyright: ignore[reportArgumentType]


def _vector(
    name: str,
    unit: str,
    frame: str,
    bound: float,
    jump: float,
    max_age_s: float | None,
    sensor: str = "",
    expires_s: float | None = None,
) -> SignalSpec:
    return SignalSpec(
        name=name, unit=unit, frame=frame, order=("x", "y", "z"),
        minimum=(-bound,) * 3, maximum=(bound,) * 3, max_jump=(jump,) * 3, max_age_s=max_age_s,
        max_still_s=_STILL if sensor else None, expires_s=expires_s, sensor=sensor,
    )  # fmt: skip


# Bounds: a room, 10 m/s, the gyro's range of ±2000 °/s (BMI088 datasheet); jumps: ten times what full thrust can do
# in a control period, and all of the gyro's range, since full differential thrust turns this airframe by 20 rad/s in
# 10 ms. A gyro's noise is larger than its steps, and a motion capture never measures the same position twice.
_STATE_AGE = 0.1
_STILL = 0.25


def _parameter(name: str, unit: str) -> Parameter:
    """One of `QuadrotorParameters`, nominal as in `CRAZYFLIE`; real ones are within `FACTORS` of what lies between the
    two published sets."""
    values = [np.atleast_1d(getattr(parameters, name)) for parameters in (CRAZYFLIE, CRAZYFLIE_IDENTIFIED)]
    size, (low, high) = PARAMETER_SIZES[name], FACTORS[name]
    return Parameter(
        name=name, unit=unit, order=("x", "y", "z") if size == 3 else (name,), nominal=tuple(values[0].tolist()),
        minimum=tuple((low * np.minimum(*values)).tolist()), maximum=tuple((high * np.maximum(*values)).tolist()),
        valid=(0.0, math.inf),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class QuadrotorBody:
    """mass (1) kg, inertia (3) kg·m², arm (1) m, torque_ratio (1) m, as in `QuadrotorParameters`."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (
            _parameter("mass", "kg"),
            _parameter("inertia", "kg·m²"),
            _parameter("arm", "m"),
            _parameter("torque_ratio", "m"),
        )

    def fields(self, model: Any, values: Mapping[str, Array]) -> dict[str, Array]:
        mass, inertia, gear, sites = (
            rows(model, name, values["mass"]) for name in ("body_mass", "body_inertia", "actuator_gear", "site_pos")
        )
        base = model.body("base").id
        mass[:, base], inertia[:, base] = values["mass"][:, 0], values["inertia"]
        for i, name in enumerate(ROTORS):
            gear[:, model.actuator(name).id, 5] = ROTOR_YAW[i] * values["torque_ratio"][:, 0]
            site = model.site(name).id
            sites[:, site, 0], sites[:, site, 1] = (sign[i] * values["arm"][:, 0] for sign in (ROTOR_X, ROTOR_Y))
        return {"body_mass": mass, "body_inertia": inertia, "actuator_gear": gear, "site_pos": sites}


_ROTOR_PARAMETERS = (
    _parameter("thrust_coefficient", "N·s²/rad²"),
    _parameter("time_constant_up", "s"),
    _parameter("time_constant_down", "s"),
    _parameter("battery", "1"),
)


def _model(looks: bool) -> str:
    from isthmus_sim.robots.quadrotor.mjcf import quadrotor_mjcf  # it is made from what stands here

    return quadrotor_mjcf(scene=looks)


ROBOT = RobotDescription(
    name="crazyflie",
    control_period_s=0.01,
    signals=(
        _vector("position", "m", "world", 20.0, 0.25, _STATE_AGE, "odom"),
        SignalSpec(
            name="orientation", unit="1", frame="world_from_body", order=("w", "x", "y", "z"),
            minimum=(-1.01,) * 4, maximum=(1.01,) * 4, max_jump=(2.02,) * 4, max_age_s=_STATE_AGE,
            max_still_s=_STILL, sensor="odom",
        ),
        _vector("linear_velocity", "m/s", "body", 10.0, 2.0, _STATE_AGE, "odom"),
        _vector("angular_velocity", "rad/s", "body", 34.9, 34.9, _STATE_AGE, "imu"),
        _vector("reference_position", "m", "world", 20.0, 40.0, None),
        # A place stays where it was asked for, and the velocity with which it moved does not.
        _vector("reference_velocity", "m/s", "world", 10.0, 20.0, None, expires_s=0.5),
    ),
    commands=(
        CommandSpec(
            name="rotor_speed", unit="rad/s", frame="body", order=ROTORS,
            minimum=(0.0,) * 4, maximum=(MAX_ROTOR_SPEED,) * 4, max_rate=(0.75 * MAX_ROTOR_SPEED / 0.01,) * 4,
            safe=(0.0,) * 4, standby=(0.0,) * 4,
        ),
    ),
    actuators=(Rotors(command="rotor_speed", actuators=ROTORS, parameters=_ROTOR_PARAMETERS),),
    variations=(QuadrotorBody(),),
    model=_model,
    base="base",
    mass=CRAZYFLIE.mass,
    stances={"stand": Stance(joints=(), height=0.02)},
    looks=Looks(distance=0.62, radius=0.05, mark=0.006),
)  # fmt: skip
