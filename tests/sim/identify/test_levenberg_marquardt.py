"""The descent finds parameters that are known, and never goes to where a simulation is not finite."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from isthmus_sim.identify.levenberg_marquardt import Search, descend

TIMES = np.linspace(0.0, 1.0, 20)
SEARCH = Search(dampings=(0.01, 1.0, 100.0), iterations=50, give_up=1e9, enough=1e-9)
START = np.array([1.0, 0.5])


@dataclass
class Decay:
    """a·exp(-bt) at (a, b), beside 2·exp(-3t)."""

    at: np.ndarray

    @property
    def residuals(self) -> np.ndarray:
        return self.at[0] * np.exp(-self.at[1] * TIMES) - 2.0 * np.exp(-3.0 * TIMES)

    @property
    def cost(self) -> float:
        return float(self.residuals @ self.residuals)

    def step(self, damping: float) -> np.ndarray:
        decay = np.exp(-self.at[1] * TIMES)
        slopes = np.stack([decay, -self.at[0] * TIMES * decay], axis=1)
        return self.at - np.linalg.solve(slopes.T @ slopes + damping * np.eye(2), slopes.T @ self.residuals)


def costs(candidates: np.ndarray) -> np.ndarray:
    return np.array([Decay(each).cost for each in candidates])


def test_known_parameters_are_found():
    found = descend(START, SEARCH, linearize=Decay, step=Decay.step, costs=costs)
    assert found.at == pytest.approx([2.0, 3.0], abs=1e-6)


def test_steps_to_where_nothing_is_finite_are_not_taken():
    def finite_below_two(candidates: np.ndarray) -> np.ndarray:
        return np.where(candidates[:, 1] > 2.0, np.nan, costs(candidates))

    found = descend(START, SEARCH, linearize=Decay, step=Decay.step, costs=finite_below_two)
    assert 1.5 < found.at[1] <= 2.0
