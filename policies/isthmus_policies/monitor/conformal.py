"""Thresholds that successful episodes rarely exceed (split conformal prediction, Vovk et al. 2005)."""

from __future__ import annotations

import math
from collections.abc import Sequence


def conformal_threshold(values: Sequence[float], share: float) -> float:
    """The ⌈(n + 1)(1 - share)⌉-th smallest of n values: one more exceeds it with a probability of at most `share`, if
    it is drawn as these were.

    Steps of one episode are not drawn apart from each other: give one value of each episode, its largest.

    Raises:
        ValueError: the share is not between 0 and 1, there are too few values for it, or one is infinite or no number.
            -∞ is a value: that of an episode in which nothing can be exceeded.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"the share of false alarms is between 0 and 1, not {share}")
    if not all(value < math.inf for value in values):
        raise ValueError("values to set a threshold by must be finite")
    # Rounded first: (9 + 1)(1 - 0.1) shall be 9, and not the next number after it.
    place = math.ceil(round((len(values) + 1) * (1.0 - share), 9))
    if place > len(values):
        raise ValueError(
            f"{len(values)} values tell no limit for a share of {share:g}: at least {least_values(share)} are needed"
        )
    return sorted(values)[place - 1]


def least_values(share: float) -> int:
    """How many values a threshold takes."""
    return math.ceil(round(1.0 / share - 1.0, 9))
