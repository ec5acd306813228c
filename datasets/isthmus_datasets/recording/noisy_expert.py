"""What a hand makes of a plan: with little skill it strays from it and lapses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STRAY_STEPS = 8.0  # so long an error lasts: a hand drifts, it does not tremble
_LAPSES, _LAPSE_STEPS = 0.06, 6.0  # per step that is no lapse, with no skill at all; and how long one is on average


class NoisyExpert:
    """Does what is planned, as well as it can.

    Args:
        skill: 1 does just that. With less, an error that changes slowly is added (Ornstein-Uhlenbeck, of standard
            deviation (1 - skill) · `stray`), and now and then the last action is held for a while: with no skill at
            all, a quarter of the time.
        stray: Size of the error, in the action's units.

    Raises:
        ValueError: skill not within 0..1, or stray negative.
    """

    def __init__(self, *, skill: float, stray: float) -> None:
        if not 0.0 <= skill <= 1.0 or not stray >= 0.0:
            raise ValueError(f"skill must be from 0 to 1 and stray not negative, not {skill} and {stray}")
        self._lack, self._stray = 1.0 - skill, stray
        self.reset(0)

    def reset(self, seed: int) -> None:
        """A new episode; all that is drawn depends on `seed`."""
        self._random = np.random.default_rng((seed, 1))
        self._error: NDArray[Any] | None = None
        self._held: NDArray[Any] | None = None

    def act(self, planned: NDArray[Any]) -> NDArray[Any]:
        """What it does, of the same shape and type. Called once per step."""
        if self._lack == 0.0:
            return planned
        error = self._next_error(planned.shape)
        if not self._lapses():
            self._held = (planned + error).astype(planned.dtype)
        assert self._held is not None
        return self._held.copy()

    def _next_error(self, shape: tuple[int, ...]) -> NDArray[Any]:
        drawn = self._lack * self._stray * self._random.standard_normal(shape)
        keeps = math.exp(-1.0 / _STRAY_STEPS)
        self._error = drawn if self._error is None else keeps * self._error + math.sqrt(1.0 - keeps**2) * drawn
        return self._error

    def _lapses(self) -> bool:
        """Whether the last action is held; never in the first step."""
        drawn = self._random.uniform()
        if self._held is None:
            self._lapsing = False
        elif self._lapsing:
            self._lapsing = drawn >= 1.0 / _LAPSE_STEPS
        else:
            self._lapsing = drawn < self._lack * _LAPSES
        return self._lapsing
