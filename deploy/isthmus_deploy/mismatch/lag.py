"""A first-order lag of a whole log at once."""

from __future__ import annotations

import math

from isthmus_deploy.mismatch.motion import Array


def lagged(values: Array, period_s: float, time_s: float) -> Array:
    """What follows values (n, k), one a period, with a time constant: in each tick the share 1 - exp(-period/time) of
    the gap is closed. It begins at rest at the first of them."""
    if time_s <= 0.0:
        return values
    keeps = math.exp(-period_s / time_s)
    total, reach = (1.0 - keeps) * (values - values[0]), 1
    while reach < len(values) and keeps**reach > 1e-6:  # the sum over twice as many ticks, of that over so many
        total[reach:] = total[reach:] + keeps**reach * total[:-reach]
        reach *= 2
    return values[0] + total
