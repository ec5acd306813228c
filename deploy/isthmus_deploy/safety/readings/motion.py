"""Whether a body is where its velocity must have brought it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from operator import sub

from isthmus_deploy.contracts.limits import Signal
from isthmus_deploy.rotations import rotated

_XYZ, _WXYZ = ("x", "y", "z"), ("w", "x", "y", "z")
_WINDOW_S = 0.5
_GAP_S = 0.2
_SHARE = 0.25
"""Share of the way in the window that an estimate of the velocity may be wrong by, in size, direction or time."""

Vector = tuple[float, float, float]


class MotionGuard:
    """Compares how far a position has moved in the last half second with the integral of the velocity.

    They may differ by the position's `max_jump`, as when a localisation corrects itself, and by a quarter of the way. A
    velocity that lags by τ during an acceleration a adds a·τ·0.5 s: 0.15 m for 30 ms at 10 m/s². So a drift of more
    than twice `max_jump` a second is found, in half a second at the latest.

    It takes part where there is one position in the world (m), one linear velocity (m/s) in the world or the body, and
    for the latter one orientation (world_from_body); otherwise it finds nothing.

    Args:
        signals: Numbers, in the order of the flat readings.
        slices: Where each of them stands there.
    """

    def __init__(self, signals: Sequence[Signal], slices: Sequence[slice]) -> None:
        self._position = _only(signals, "m", ("world",), _XYZ)
        self._velocity = _only(signals, "m/s", ("world", "body"), _XYZ)
        self._orientation = _only(signals, "1", ("world_from_body",), _WXYZ)
        self._slices = slices
        self._in_body = self._velocity is not None and signals[self._velocity].frame == "body"
        known = self._position is not None and self._velocity is not None
        self.takes_part = known and not (self._in_body and self._orientation is None)
        """Whether the signals say enough."""
        if self._position is not None and self._velocity is not None:
            position, velocity = signals[self._position], signals[self._velocity]
            self._names, self._tolerated_m = f"{position.name} and {velocity.name}", max(position.max_jump)
        self._before: tuple[Vector, Vector] | None = None
        self._now_s = 0.0
        # Time, position less integral of the velocity, and length of the way.
        self._track: deque[tuple[float, Vector, float]] = deque()

    def reset(self) -> None:
        """The next reading is compared with none before it."""
        self._before = None
        self._track.clear()

    def check(self, flat: list[float], passed_s: Sequence[float]) -> str | None:
        """Take all readings, `passed_s` after those before, for each signal.

        Returns:
            None, or the cause in words.
        """
        if not self.takes_part:
            return None
        assert self._position is not None
        passed = passed_s[self._position]
        if passed <= 0.0 and self._before is not None:
            return None
        if passed > _GAP_S:
            self.reset()
        position, velocity = self._read(flat, self._position), self._world_velocity(flat)
        before, self._before = self._before, (position, velocity)
        if before is None:
            self._track.append((self._now_s, (0.0, 0.0, 0.0), 0.0))
            return None
        self._extend(before, position, velocity, passed)
        return self._judge()

    def _extend(self, before: tuple[Vector, Vector], position: Vector, velocity: Vector, passed_s: float) -> None:
        mean = [0.5 * (a + b) for a, b in zip(before[1], velocity, strict=True)]
        moved = map(sub, position, before[0])
        _, apart, way = self._track[-1]
        x, y, z = [d + m - v * passed_s for d, m, v in zip(apart, moved, mean, strict=True)]
        self._now_s += passed_s
        self._track.append((self._now_s, (x, y, z), way + passed_s * math.hypot(*mean)))
        while self._now_s - self._track[0][0] > _WINDOW_S:
            self._track.popleft()

    def _judge(self) -> str | None:
        (begin_s, first, way_0), (end_s, last, way) = self._track[0], self._track[-1]
        apart = math.dist(last, first)
        if apart <= self._tolerated_m + _SHARE * (way - way_0):
            return None
        return (
            f"{self._names} contradict each other: in {end_s - begin_s:.2g} s the position has moved {apart:.2g} m "
            "otherwise than the velocity says"
        )

    def _read(self, flat: list[float], index: int) -> Vector:
        x, y, z = flat[self._slices[index]]
        return x, y, z

    def _world_velocity(self, flat: list[float]) -> Vector:
        assert self._velocity is not None
        velocity = self._read(flat, self._velocity)
        if not self._in_body:
            return velocity
        assert self._orientation is not None
        return rotated(flat[self._slices[self._orientation]], velocity)


def _only(signals: Sequence[Signal], unit: str, frames: Sequence[str], order: Sequence[str]) -> int | None:
    """Place of the one reading of that kind; None where there is none, or several."""
    found = [
        index
        for index, signal in enumerate(signals)
        if (signal.unit, signal.order) == (unit, order)
        and signal.frame in frames
        and signal.shape == (len(order),)
        and signal.max_age_s is not None
    ]
    return found[0] if len(found) == 1 else None
