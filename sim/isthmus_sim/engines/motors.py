"""Joint drives: PD control and what a DC motor can give at its speed.

torque = strength · clip(kp (target - q) - kd q̇), clipped to the effort limit and to the straight torque-speed line from
stall torque to no-load speed, as in Isaac Lab's DCMotor and Unitree's actuator data: at speed v in its own direction
a motor gives at most saturation · (1 - v / no_load_speed).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus_sim.robots.quadruped.description import Motor

SLOW = 0.2  # rad/s

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MotorLimits:
    """Per joint (j,): effort_limit, saturation and dry friction N·m, no_load_speed rad/s."""

    effort_limit: Array
    saturation: Array
    no_load_speed: Array
    friction: Array

    @classmethod
    def of(cls, motors: tuple[Motor, ...]) -> MotorLimits:
        """Of one motor per joint."""
        return cls(
            effort_limit=np.array([m.effort_limit for m in motors]),
            saturation=np.array([m.saturation_effort for m in motors]),
            no_load_speed=np.array([m.no_load_speed for m in motors]),
            friction=np.array([m.friction for m in motors]),
        )


def pd_torque(
    target: Array, position: Array, velocity: Array, stiffness: Array, damping: Array, strength: Array,
    limits: MotorLimits,
) -> Array:  # fmt: skip
    """Torques at the joints (n, j), N·m; target and position rad, velocity rad/s, gains N·m/rad and N·m·s/rad."""
    wanted = stiffness * (target - position) - damping * velocity
    slope = limits.saturation / limits.no_load_speed
    drop = slope * velocity
    high = np.clip(limits.saturation - drop, 0.0, limits.effort_limit)
    low = np.clip(-limits.saturation - drop, -limits.effort_limit, 0.0)
    return strength * np.clip(wanted, low, high)


def dry_friction(velocity: Array, limits: MotorLimits) -> Array:
    """What dry friction in the drives takes (n, j), N·m: all of it from some tenths of a rad/s on.

    MuJoCo's own `frictionloss` is a constraint on every joint, which costs a fifth of the time of a walking robot.
    """
    return limits.friction * velocity / np.sqrt(velocity * velocity + SLOW**2)
