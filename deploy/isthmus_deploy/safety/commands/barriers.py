"""How fast an end may be approached, so that it is never passed and can always be braked for."""

import numpy as np


class BrakingBarrier:
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

    Args:
        share: σ per element, above 0 and at most 1; its shape is that of the distances.
        change: A per element, in the unit of the distance; None where nothing limits the acceleration.
    """

    def __init__(self, share: np.ndarray, change: np.ndarray | None):
        self._share = share
        self._braked = change is not None
        if change is None:
            return
        change = np.broadcast_to(change, share.shape)
        self._twice, self._half = 2.0 * change, 0.5 * change
        self._shift = change**2 * (1.0 / share**2 - 1.0 / share)
        self._touch = change**2 / share**2  # what stands under the root at h*
        self._linear = np.empty_like(share)

    def __call__(self, distance: np.ndarray, out: np.ndarray) -> None:
        """Write B of the distances, none below 0, to `out`."""
        if not self._braked:
            np.multiply(self._share, distance, out=out)
            return
        np.multiply(self._share, distance, out=self._linear)
        np.multiply(self._twice, distance, out=out)
        np.subtract(out, self._shift, out=out)
        np.maximum(out, self._touch, out=out)  # up to h* the line is the smaller one
        np.sqrt(out, out=out)
        np.subtract(out, self._half, out=out)
        np.minimum(out, self._linear, out=out)
