"""The Crazyflie 2.x: two published parameter sets, its specification, and its MJCF.

Sources: Eschmann, Albani, Loianno, "Learning to Fly in Seconds" (2023), parameters of the public repository, for
`CRAZYFLIE`; the same authors' later identification (RAPTOR, 2025) for `CRAZYFLIE_IDENTIFIED`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_sim.description import CommandSpec, RobotSpec, SignalSpec

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


def parameter_tensors(parameters: QuadrotorParameters, n: int) -> dict[str, Tensor]:
    """The parameters of n equal worlds: name -> (n, size) float32."""
    return {
        name: torch.tensor(getattr(parameters, name), dtype=torch.float32).reshape(1, size).repeat(n, 1)
        for name, size in PARAMETER_SIZES.items()
    }


def sample_parameters(n: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw n quadrotors between and around the two published sets: name -> (n, size) float32.

    One blend factor moves mass, inertia and motor lag together from `CRAZYFLIE` to `CRAZYFLIE_IDENTIFIED`, since a
    heavier airframe is also the one with more inertia; each then varies by itself. Thrust varies by 10 % (propeller
    wear, air density), the battery lets a set-point sag by up to 8 %.
    """

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, 1, generator=generator)

    first, later = parameter_tensors(CRAZYFLIE, n), parameter_tensors(CRAZYFLIE_IDENTIFIED, n)
    blend = uniform(0.0, 1.0)
    drawn = {name: torch.lerp(first[name], later[name], blend) for name in PARAMETER_SIZES}
    drawn["mass"] *= uniform(0.95, 1.05)
    drawn["inertia"] *= uniform(0.85, 1.15)
    drawn["thrust_coefficient"] *= uniform(0.9, 1.1)
    drawn["torque_ratio"] *= uniform(0.8, 1.2)
    drawn["time_constant_up"] *= uniform(0.8, 1.2)
    drawn["time_constant_down"] *= uniform(0.8, 1.2)
    drawn["battery"] = uniform(0.92, 1.0)
    return drawn


def one_quadrotor(drawn: dict[str, Tensor]) -> QuadrotorParameters:
    """The single quadrotor in `drawn`, name -> (1, size)."""
    values = {name: tuple(row[0].tolist()) for name, row in drawn.items()}
    scalars = {name: value[0] for name, value in values.items() if name != "inertia"}
    return QuadrotorParameters(inertia=values["inertia"], **scalars)  # pyright: ignore[reportArgumentType]


def _vector(name: str, unit: str, frame: str, bound: float, jump: float, max_age_s: float | None) -> SignalSpec:
    return SignalSpec(
        name=name, unit=unit, frame=frame, order=("x", "y", "z"),
        minimum=(-bound,) * 3, maximum=(bound,) * 3, max_jump=(jump,) * 3, max_age_s=max_age_s,
    )  # fmt: skip


# Bounds: a room, 10 m/s, the gyro's range of ±2000 °/s (BMI088 datasheet); jumps: ten times what full thrust can do
# in a control period, and all of the gyro's range, since full differential thrust turns this airframe by 20 rad/s in
# 10 ms.
_STATE_AGE = 0.1
SPEC = RobotSpec(
    name="crazyflie",
    control_period_s=0.01,
    signals=(
        _vector("position", "m", "world", 20.0, 0.25, _STATE_AGE),
        SignalSpec(
            name="orientation", unit="1", frame="world_from_body", order=("w", "x", "y", "z"),
            minimum=(-1.01,) * 4, maximum=(1.01,) * 4, max_jump=(2.02,) * 4, max_age_s=_STATE_AGE,
        ),
        _vector("linear_velocity", "m/s", "body", 10.0, 2.0, _STATE_AGE),
        _vector("angular_velocity", "rad/s", "body", 34.9, 34.9, _STATE_AGE),
        _vector("reference_position", "m", "world", 20.0, 40.0, None),
        _vector("reference_velocity", "m/s", "world", 10.0, 20.0, None),
    ),
    commands=(
        CommandSpec(
            name="rotor_speed", unit="rad/s", frame="body", order=ROTORS,
            minimum=(0.0,) * 4, maximum=(MAX_ROTOR_SPEED,) * 4, max_rate=(0.75 * MAX_ROTOR_SPEED / 0.01,) * 4,
            safe=(0.0,) * 4, standby=(0.0,) * 4,
        ),
    ),
)  # fmt: skip
