"""What every physics engine means by a control period of several steps, and by a world that has diverged."""

from __future__ import annotations

SPEED_LIMIT = 1e6
"""m/s or rad/s: far beyond any robot; a world past it has diverged."""


def substeps(control_period_s: float, timestep: float) -> int:
    """Physics steps of `timestep` s in a control period. Raises ValueError where that is no whole number."""
    count = round(control_period_s / timestep)
    if count < 1 or abs(count * timestep - control_period_s) > 1e-9:
        raise ValueError(f"time step {timestep} s does not divide the control period {control_period_s} s")
    return count
