"""How well a fit knows its parameters, which ones the logs cannot tell apart, and the band around its predictions.

The residuals of a simulation are no independent noise: where it is wrong, it stays wrong for a while. Their number N
is therefore divided by their correlation time τ = 1 + 2 Σ ρ(lag), up to where ρ is not positive (Geyer 1992). With
that many and p parameters, σ² is the sum of squares over N - p τ, and the covariance of the parameters the inverse of
JᵀJ / (σ² τ) and the prior, J having the slopes by where each log began too. The prior is the bounds of what is
physical, as wide as an even distribution between them; it says how well a parameter is known of which the logs say
nothing. Where an arm sticks, the error is rugged, and slopes over a small step say more than is known: they are taken
over a standard deviation to either side, along the principal axes of the covariance that they give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isthmus_sim.identify.fit import Fit, bounds, limits, residuals, scales
from isthmus_sim.identify.log import Array
from isthmus_sim.identify.servo import UNKNOWNS, Bench

NORMAL_95 = 1.959964
"""A normal number is within as many standard deviations with 95 %."""
_ROUNDS = 2  # the first one is within a few percent
_LEAST_REACH = 0.1  # of a step, from one side to the other
_VAGUE = 0.5  # a parameter is not known where its deviation is this share of its size
_TOGETHER = 0.8  # correlation


@dataclass(frozen=True, kw_only=True, eq=False)
class Knowledge:
    """Parameters as a normal distribution, and the model's own error."""

    fit: Fit
    covariance: Array
    """(free, free), in the units of the parameters."""
    sigma: float
    """rad, of the residual."""
    tau: float
    """Samples in which residuals forget each other."""

    @property
    def deviations(self) -> Array:
        """(parameters,) one standard deviation of each; 0 of those that were known."""
        result = np.zeros(len(self.fit.names))
        result[self.fit.free] = np.sqrt(np.diag(self.covariance))
        return result

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Name -> 95 % interval of each parameter by itself, within its bounds."""
        low, high = bounds(self.fit.friction)
        reach = NORMAL_95 * self.deviations
        low, high = np.maximum(low, self.fit.values - reach), np.minimum(high, self.fit.values + reach)
        return {name: (float(a), float(b)) for name, a, b in zip(self.fit.names, low, high, strict=True)}

    def contains(self, truth: Array) -> bool:
        """Whether values (parameters,) lie in the 95 % region of all free parameters together."""
        apart = (self.fit.values - truth)[self.fit.free]
        return bool(apart @ np.linalg.solve(self.covariance, apart) <= chi_square_95(len(apart)))

    def draws(self, n: int, random: np.random.Generator) -> Array:
        """(n, parameters) that are as likely as the logs say, within their bounds."""
        result = np.tile(self.fit.values, (n, 1))
        result[:, self.fit.free] = random.multivariate_normal(self.fit.values[self.fit.free], self.covariance, n)
        return np.clip(result, *bounds(self.fit.friction))


def know(fit: Fit, bench: Bench) -> Knowledge:
    """What a fit on these logs knows."""
    size = len(fit.residual)
    tau = min(correlation_time(bench.split(fit.residual)), size / (2 * len(fit.free)))
    sigma = float(np.sqrt(fit.cost / (size - tau * len(fit.free))))
    low, high, scale = limits(bench, fit.friction)
    fitted = [*fit.free, *range(len(fit.values), len(scale))]
    prior = np.diag(12.0 / (high - low)[fitted] ** 2)
    slopes = fit.jacobian / (sigma * np.sqrt(tau))
    covariance = np.linalg.inv(slopes.T @ slopes + prior)
    for _ in range(_ROUNDS):
        axes = _axes(covariance, scale[fitted])
        slopes = _slopes(fit, bench, axes) / (sigma * np.sqrt(tau))
        covariance = axes @ np.linalg.inv(slopes.T @ slopes + axes.T @ prior @ axes) @ axes.T
    free = len(fit.free)
    return Knowledge(fit=fit, covariance=covariance[:free, :free], sigma=sigma, tau=tau)  # whatever the starts are


def _axes(covariance: Array, scale: Array) -> Array:
    """(n, n): in columns, a standard deviation along each principal axis of a region, of parameters by their scale."""
    lengths, directions = np.linalg.eigh(covariance / np.outer(scale, scale))
    return scale[:, None] * directions * np.sqrt(lengths)


def _slopes(fit: Fit, bench: Bench, axes: Array) -> Array:
    """(samples, axes) rad by each of these steps: over as much of it, to either side, as lies within the bounds; from
    the fit's slopes where that is next to nothing, or the simulation diverges there."""
    low, high, _ = limits(bench, fit.friction)
    place = np.append(fit.values, fit.starts)
    steps = np.zeros((axes.shape[1], len(place)))
    steps[:, [*fit.free, *range(len(fit.values), len(place))]] = axes.T
    forward, backward = (_within(side * steps, low - place, high - place) for side in (1.0, -1.0))
    ahead, behind = (residuals(bench, place + share[:, None] * steps) for share in (forward, -backward))
    reach = forward + backward
    told = (reach > _LEAST_REACH) & np.isfinite(ahead - behind).all(axis=1)
    linear = fit.jacobian @ axes
    linear[:, told] = ((ahead - behind)[told] / reach[told, None]).T
    return linear


def _within(steps: Array, low: Array, high: Array) -> Array:
    """(n,) what share of steps (n, m) stays within bounds (m,), at most all."""
    room = np.where(steps > 0, high, low)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(steps == 0.0, 1.0, room / steps)
    return np.clip(shares.min(axis=1), 0.0, 1.0)


def correlation_time(residuals: Sequence[Array]) -> float:
    """In samples, of residuals log by log."""
    longest = max(len(each) for each in residuals)
    products = np.zeros(longest)
    for each in residuals:
        spectrum = np.fft.rfft(each, 2 * longest)
        products += np.fft.irfft(np.abs(spectrum) ** 2)[:longest]
    correlation = products / products[0]
    negative = np.flatnonzero(correlation <= 0.0)
    end = negative[0] if len(negative) else longest
    return float(1.0 + 2.0 * correlation[1:end].sum())


def chi_square_95(n: int) -> float:
    """What a sum of n squared normal numbers exceeds with 5 %: Wilson and Hilferty (1931), within 1 % from n = 3."""
    return n * (1.0 - 2.0 / (9 * n) + 1.644854 * np.sqrt(2.0 / (9 * n))) ** 3


def remarks(known: Knowledge) -> list[str]:
    """What the logs do not tell, one line a parameter: that it is lost, or with which others it can be exchanged, and
    the motion that would help."""
    fit = known.fit
    free = fit.free
    size = np.maximum(np.abs(fit.values), scales(fit.friction))[free]
    alone = 1.0 / np.sqrt(np.diag(np.linalg.inv(known.covariance)))
    deviation = np.sqrt(np.diag(known.covariance))
    correlation = known.covariance / np.outer(deviation, deviation)
    lines = []
    for row, place in enumerate(free):
        if deviation[row] < _VAGUE * size[row]:
            continue
        unknown = UNKNOWNS[fit.names[place]]
        partners = [
            fit.names[other]
            for column, other in enumerate(free)
            if column != row and abs(correlation[row, column]) > _TOGETHER
        ]
        if alone[row] >= _VAGUE * size[row] or not partners:
            said = "the logs say next to nothing of it"
        else:
            said = f"cannot be told apart from {' and '.join(partners)}"
        lines.append(f"{fit.names[place]}: {said}; what would help: {unknown.motion}")
    return lines


def band(known: Knowledge, bench: Bench) -> tuple[Array, Array]:
    """Prediction (samples,) rad of logs, held-out ones too, and the half width (samples,) of its 95 % band.

    The half width is that of the parameters and of the first readings, to first order, and of the model's own error,
    which is as large there as where it was fitted.
    """
    free = known.fit.free
    step = 0.1 * known.deviations[free]
    lanes = np.vstack([known.fit.values, known.fit.values + np.diag(_padded(known.fit, step))[free], known.fit.values])
    starts = np.zeros((len(lanes), len(bench.logs)))
    starts[-1] = 0.1 * bench.noise
    positions = bench.positions(lanes, starts=starts)
    if not np.isfinite(positions).all():
        raise bench.diverged(positions[0])
    slopes = (positions[1:-1] - positions[0]) / step[:, None]
    of_parameters = np.einsum("is,ij,js->s", slopes, known.covariance, slopes)
    of_starts = np.square((positions[-1] - positions[0]) / 0.1)
    return positions[0], NORMAL_95 * np.sqrt(of_parameters + of_starts + known.sigma**2)


def _padded(fit: Fit, free_values: Array) -> Array:
    values = np.zeros(len(fit.names))
    values[fit.free] = free_values
    return values
