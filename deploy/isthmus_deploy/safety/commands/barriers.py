"""How fast an end may be approached, so that it is never passed and can always be braked for."""

import math
from typing import NamedTuple


class BrakingBarrier(NamedTuple):
    """The largest step B(h) towards an end at the distance h, for commands that change once a control period.

    Two demands. A discrete-time control barrier function: a step takes at most the share σ = γ·period of the distance,
    h_next >= (1 - σ)·h, so the end is approached smoothly and never passed (Agrawal and Sreenath, RSS 2017). And
    braking: steps shrink by at most A = acceleration·period² from one to the next, so B must never shrink faster.

        B(h) = σ·h                        up to h* = A·(1 - σ/2)/σ²
        B(h) = √(2·A·h - A²·(1/σ² - 1/σ)) - A/2   beyond

    Why that suffices: B(h - B(h)) >= B(h) - A. (1) Up to h*, B shrinks by σ²·h, which is at most A. (2) Beyond, put
    w = B/A + 1/2; then h = A·(w² + 1/σ² - 1/σ)/2, and h - B(h) is the same with w - 1: there B is exactly A smaller.
    (3) The line touches the curve at h* and lies above it, so where h - B(h) falls back below h*, B is no smaller there
    than the curve goes on. Since B rises with h, any step d <= B(h) thus leaves d - A <= B(h - d): the next step can
    always be made small enough. For σ = 1 this is the braking distance, rounded up to whole periods. Zero is within B,
    and so neither range nor rate conflicts with it.
    """

    share: float
    """σ."""
    touch: float
    """h*."""
    twice: float
    """2·A."""
    shift: float
    """What is taken off under the root."""
    half: float
    """A/2."""

    @classmethod
    def of(cls, share: float, change: float) -> "BrakingBarrier":
        """The barrier of σ, above 0 and at most 1, and of A in the unit of the distance, infinite where nothing limits
        it."""
        if math.isinf(change):
            return cls(share, math.inf, 0.0, 0.0, 0.0)
        touch = change * (1.0 - 0.5 * share) / share**2
        return cls(share, touch, 2.0 * change, change**2 * (1.0 / share**2 - 1.0 / share), 0.5 * change)

    def distance(self, step: float) -> float:
        """The inverse of B: the distance from which on it is at least the step, which is above 0."""
        if step > self.share * self.touch:
            return ((step + self.half) ** 2 + self.shift) / self.twice
        return step / self.share

    def __call__(self, distance: float) -> float:
        """B of a distance; 0 where it is below 0, beyond the end."""
        if distance > self.touch:
            return math.sqrt(self.twice * distance - self.shift) - self.half
        return self.share * max(distance, 0.0)
