"""The parameters with which simulation comes nearest to what was flown, and how well they are known.

Residuals are weighed by how large they are at that tick over all windows, so that metres and radians can be added. What
was known before counts as if it had been drawn evenly between its bounds. What is wrong in a window, such as its first
reading, is wrong all through it: residuals count as one in τ, the time in which they forget each other, and how well
parameters are known is taken from how much the windows differ in what they ask for (the "sandwich" of Huber, 1967).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isthmus_policies.evaluation.flown_windows import ReplayError
from isthmus_policies.evaluation.identify.replayed import Array, Replayed
from isthmus_sim.identify.levenberg_marquardt import Search, descend
from isthmus_sim.identify.uncertainty import NORMAL_95, chi_square_95, correlation_time

_ROUNDS = 4  # weights, then parameters
_SEARCH = Search(dampings=(0.01, 0.1, 1.0, 10.0, 100.0), iterations=20, give_up=1e6, enough=1e-4)
_STEP = 0.02  # of a derivative, in deviations of what is known before
_FEWEST = 2  # windows for each unknown
_LEAST_WEIGHT = 1e-3  # of the residuals at first, where a simulation is exact
_VAGUE = 0.5  # of the deviation that was known before: an unknown of which flights say little
_TOGETHER = 0.3  # correlation of unknowns that may stand in for each other; three of them are less alike than two


@dataclass(frozen=True, kw_only=True, eq=False)
class RobotFit:
    """What the flights say of the unknowns.

    Shapes: u unknowns, w windows, t ticks, e elements.
    """

    values: Array
    """(u,) in their units."""
    covariance: Array
    """(u, u)."""
    residuals: Array
    """(w, t, e) simulated less recorded, with these values."""
    nominal: Array
    """(w, t, e) the same with nominal parameters."""
    slopes: Array
    """(u, w, t, e) weighed residuals by deviation that was known before."""

    def contains(self, truth: Array) -> bool:
        """Whether values (u,) lie in the 95 % region of all unknowns together."""
        apart = self.values - truth
        return float(apart @ np.linalg.solve(self.covariance, apart)) <= chi_square_95(len(apart))

    @property
    def deviations(self) -> Array:
        """(u,) one standard deviation of each."""
        return np.sqrt(np.diag(self.covariance))


def fit_robot(replayed: Replayed) -> RobotFit:
    """Fit all unknowns.

    Raises:
        ReplayError: there are too few windows for so many unknowns, or the nominal simulation diverges.
    """
    model = _Model(replayed)
    at = model.linearized(model.start)
    nominal = at.residuals
    count, needed = len(nominal), _FEWEST * len(model.start)
    if count < needed:
        raise ReplayError(f"{count} windows are too few for {len(model.start)} unknowns: fly {needed} of them")
    if not (np.abs(nominal) < 1e3).all():
        raise ReplayError("the simulation with nominal parameters does not stay near the flight: see isthmus-gap")
    smallest = _LEAST_WEIGHT * _sizes(nominal)
    for _ in range(_ROUNDS):
        model.sizes = np.maximum(_sizes(at.residuals), smallest)
        model.tau = correlation_time([*(at.residuals / model.sizes).transpose(0, 2, 1).reshape(-1, nominal.shape[1])])
        at = model.descended(at.place)
    slopes = at.slopes / model.sizes
    scale = model.scale
    return RobotFit(
        values=model.middle + scale * at.place,
        covariance=model.covariance(at) * np.outer(scale, scale),
        residuals=at.residuals,
        nominal=nominal,
        slopes=slopes,
    )


def remarks(replayed: Replayed, found: RobotFit) -> list[str]:
    """What the flights do not tell, one line an unknown, and where it would show."""
    unknowns = replayed.unknowns
    deviations = found.deviations
    correlation = found.covariance / np.outer(deviations, deviations)
    alone = 1.0 / np.sqrt(np.diag(np.linalg.inv(found.covariance)))
    sensitivity = np.sqrt((found.slopes**2).mean(axis=(1, 2)))  # (u, e)
    lines = []
    for i, unknown in enumerate(unknowns):
        if deviations[i] < _VAGUE * unknown.deviation:
            continue
        partners = [
            other.name for j, other in enumerate(unknowns) if j != i and abs(correlation[i, j]) > _TOGETHER
        ]
        told_alone = alone[i] < _VAGUE * unknown.deviation
        if told_alone and partners:
            lines.append(f"{unknown.name}: cannot be told apart from {' and '.join(partners)}")
        else:
            where = replayed.elements[int(sensitivity[i].argmax())] if sensitivity[i].any() else "any other kind"
            lines.append(f"{unknown.name}: the flights say little of it; what would help: more change of {where}")
    return lines


def intervals(replayed: Replayed, found: RobotFit) -> list[tuple[float, float]]:
    """The 95 % interval of each unknown by itself, within its bounds."""
    reach = NORMAL_95 * found.deviations
    return [
        (max(unknown.low, float(value - half)), min(unknown.high, float(value + half)))
        for unknown, value, half in zip(replayed.unknowns, found.values, reach, strict=True)
    ]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Place:
    """Residuals and their slopes at a place (u,), in deviations from the middle of the bounds."""

    place: Array
    residuals: Array
    slopes: Array
    cost: float


class _Model:
    """Unknowns in deviations from the middle of their bounds: what is known before is then a standard normal number."""

    def __init__(self, replayed: Replayed) -> None:
        unknowns = replayed.unknowns
        self._replayed = replayed
        self.scale = np.array([unknown.deviation for unknown in unknowns])
        self.middle = np.array([0.5 * (unknown.low + unknown.high) for unknown in unknowns])
        self.start = (np.array([unknown.nominal for unknown in unknowns]) - self.middle) / self.scale
        self._reach = np.sqrt(3.0)  # the bounds
        self.sizes: Array = np.ones(1)
        self.tau = 1.0

    def linearized(self, place: Array) -> _Place:
        # Central differences: what one-sided ones get wrong looks like information of where there is none.
        steps = _STEP * np.eye(len(place))
        made = self._made(np.vstack([place, place + steps, place - steps]))
        above, below = np.split(made[1:], 2)
        cost = float(self._costs(made[:1], place[None])[0])
        return _Place(place=place, residuals=made[0], slopes=(above - below) / (2 * _STEP), cost=cost)

    def descended(self, place: Array) -> _Place:
        return descend(
            place,
            _SEARCH,
            linearize=self.linearized,
            step=self._step,
            costs=lambda tried: self._costs(self._made(tried), tried),
        )

    def covariance(self, at: _Place) -> Array:
        """(u, u) in deviations."""
        count, size = len(at.residuals), len(at.place)
        residuals, slopes = at.residuals / self.sizes, at.slopes / self.sizes
        asked = np.einsum("uwte,wte->wu", slopes, residuals) / self.tau
        spread = asked.T @ asked * count / max(count - size, 1)
        inverse = np.linalg.inv(self._information(slopes))
        return inverse @ (spread + np.eye(size)) @ inverse

    def _information(self, slopes: Array) -> Array:
        flat = slopes.reshape(len(slopes), -1)
        return flat @ flat.T / self.tau + np.eye(len(slopes))

    def _step(self, at: _Place, damping: float) -> Array:
        slopes = (at.slopes / self.sizes).reshape(len(at.place), -1)
        gradient = slopes @ (at.residuals / self.sizes).reshape(-1) / self.tau + at.place
        held = ((at.place <= -self._reach) & (gradient > 0)) | ((at.place >= self._reach) & (gradient < 0))
        moving = np.flatnonzero(~held)
        normal = self._information(slopes[moving])
        normal[np.diag_indices_from(normal)] *= 1.0 + damping
        moved = at.place.copy()
        moved[moving] -= np.linalg.solve(normal, gradient[moving])
        return np.clip(moved, -self._reach, self._reach)

    def _costs(self, residuals: Array, places: Array) -> Array:
        return ((residuals / self.sizes) ** 2).sum(axis=(1, 2, 3)) / self.tau + (places**2).sum(axis=1)

    def _made(self, places: Array) -> Array:
        return self._replayed(self.middle + self.scale * places)


def _sizes(residuals: Array) -> Array:
    """(t, e): how large residuals are at each tick, each quantity's three elements together: one of them that is off by
    itself must not count less for it."""
    squares = (residuals**2).mean(axis=0)
    pooled = squares.reshape(len(squares), -1, 3).mean(axis=2)
    return np.sqrt(pooled.repeat(3, axis=1)) + np.finfo(float).tiny
