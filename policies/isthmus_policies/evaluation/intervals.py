"""95 % intervals of shares and means."""

from __future__ import annotations

import math

from torch import Tensor

Z95 = 1.959964

Interval = tuple[float, float, float]
"""Low end, value, high end of a 95 % interval."""


def wilson(successes: int, n: int) -> Interval:
    """Score interval of a share (Wilson 1927)."""
    share, z2 = successes / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # At the ends rounding would carry the interval out of [0, 1], or past the share itself.
    return (max(0.0, min(share, centre - half)), share, min(1.0, max(share, centre + half)))


def mean_interval(values: Tensor) -> Interval:
    """Mean of at least two values with its normal interval."""
    mean, half = float(values.mean()), Z95 * float(values.std()) / math.sqrt(len(values))
    return (mean - half, mean, mean + half)


def interval_of_any(values: Tensor) -> Interval | None:
    """`mean_interval`, or None of fewer than two values."""
    return mean_interval(values) if len(values) > 1 else None


def ratio(of: Interval, to: Interval) -> Interval:
    """One share as a share of another, from their own intervals (Donner and Zou 2012, MOVER-R). Both are taken to be
    independent; where they were measured on the same episodes it is wider than it had to be. 0 to 1 where `to` is 0:
    nothing is known."""
    (l1, p1, u1), (l2, p2, u2) = of, to
    if p2 == 0:
        return (0.0, 0.0, 1.0)
    product, least, most = p1 * p2, l1 * (2 * p1 - l1), u1 * (2 * p1 - u1)
    low = least / (product + math.sqrt(product**2 - least * u2 * (2 * p2 - u2))) if least else 0.0
    smallest = l2 * (2 * p2 - l2)
    return (low, p1 / p2, (product + math.sqrt(product**2 - most * smallest)) / smallest)
