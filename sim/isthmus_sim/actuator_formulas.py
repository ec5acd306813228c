"""The formulas of actuators, one for every engine, the stand-in robot and the processes of other simulators.

They are written for single numbers and hold elementwise for arrays. `bound_to` gives the same formula with the
elementary functions of another library: NumPy's by default, torch's, or Warp's in a kernel. This module needs NumPy
alone, and Python 3.8: a simulator's worker process may have no more.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any, Callable  # not from collections.abc: 3.8

import numpy as np

clip, sqrt, expm1, where = np.clip, np.sqrt, np.expm1, np.where

SLOW = 0.2
"""rad/s: where dry friction has reached 0.7 of its size."""


def bound_to(formula: Callable[..., Any], **functions: Any) -> Callable[..., Any]:
    """The formula with other elementary functions, such as `clip=torch.clamp`."""
    assert isinstance(formula, FunctionType)
    return FunctionType(formula.__code__, {**formula.__globals__, **functions}, formula.__name__)


def pd_effort(target, position, velocity, stiffness, damping):
    """What a PD controller asks for, N·m: target and position rad, velocity rad/s, gains N·m/rad and N·m·s/rad."""
    return stiffness * (target - position) - damping * velocity


def motor_torque(wanted, velocity, strength, effort_limit, saturation, no_load_speed):
    """What a DC motor gives of a `wanted` torque, N·m, at its speed, rad/s.

    It is clipped to the effort limit and to the straight torque-speed line from stall torque to no-load speed, as in
    Isaac Lab's DCMotor and Unitree's actuator data: at speed v in its own direction a motor gives at most
    saturation · (1 - v / no_load_speed). `strength` is the share of the torque that arrives.
    """
    drop = saturation / no_load_speed * velocity
    high = clip(saturation - drop, 0.0, effort_limit)
    low = clip(-saturation - drop, -effort_limit, 0.0)
    return strength * clip(wanted, low, high)


def dry_friction(velocity, friction):
    """What dry friction in a drive takes, N·m: all of it from some tenths of a rad/s on.

    MuJoCo's own `frictionloss` is a constraint on every joint, which costs a fifth of the time of a walking robot.
    """
    return friction * velocity / sqrt(velocity * velocity + SLOW * SLOW)


def lagged(speed, set_point, rising, falling):
    """A first-order lag after some time: `rising` and `falling` are the shares of the gap that `lag_share` closes."""
    gap = set_point - speed
    return speed + gap * where(gap > 0.0, rising, falling)


def lag_share(time_constant, dt):
    """Share of the gap to a set-point closed within dt (s): 1 - exp(-dt/τ), the exact solution of the lag."""
    return -expm1(-dt / time_constant)
