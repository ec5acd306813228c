"""The trained world as a log shows it: how a robot answers to its commands, and its readings to one another.

It is learnt from sound flights, of a stand-in robot or of a robot that was found to be right, over units that differ.
What drives what is given: a joint is where its own command has been, the body is moved by rotors or, on legs, lies as
the joints are, and rates are the changes of what they are rates of. How much is learnt, by ridge regression. What was
read before explains nothing: a smooth motion would follow from itself, whatever is sent.

What is left over of an answer says four things about a log: how far it is off in the middle, whether it answers more or
less than predicted, whether earlier or later, and how much remains. Each has its usual value and differs from unit to
unit, and a log that hardly moves says it less surely. A log fits by how small the four are beside these deviations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.mismatch.motion import Array, Motion
from isthmus_deploy.mismatch.shapes import SPAN, UPRIGHT, Shapes

_LAGS_S = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.13, 0.16, 0.2, 0.3)
_RIDGE = 1e-4
"""Noise of a regressor that is reckoned with, as a share of its usual deviation, squared."""
_DEGREES = 4.0  # of Student's t: what is far beyond explanation costs more, but ever less so
_LEAST = np.array([[0.1], [0.03], [0.3], [0.1]])
"""Least deviation from unit to unit: of the middle, as a share of what remains; of the gain; of the lag, in ticks; of
the logarithm of what remains."""
_LESS = 3.0
_LOAD = 0.1  # rad of a joint by rad of all: how otherwise it is loaded in another posture
_INEXACT = 0.2  # share of a motion that may remain: no unit is as linear as what is learnt of it
_FURTHER, _LEAST_LEAN = 2.0, 0.25  # times, and rad
_BLOCK = 2 * SPAN  # ticks of which the errors depend on one another
_IMPLAUSIBLE = 5.0  # for a log that is all outside of its contract's ranges


FOUR = ("is off in the middle", "answers by another amount", "answers earlier or later", "moves unexplained")
"""What the deviations of an answer mean."""


def surprise(deviations: Array) -> Array:
    """How unlikely each deviation is, in Student's distribution."""
    return np.log1p(deviations**2 / _DEGREES)


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """What sound motions have taught; d answers."""

    coefficients: Array
    """(p, d): what answers follow from."""
    usual: Array
    """(4, d): middle, gain, lag and logarithm of the remains of what is left over."""
    noise: Array
    """(d,) the variance of what remains where nothing moves."""
    spread: Array
    """(4, d): their deviations from unit to unit."""
    posture: Array
    """(joints,) rad: where they usually are, in the middle of a log."""
    level: Array
    """(commands,) what drives the body usually is, in the middle of a log: that of rotors hovers."""
    upright: float
    """The cosine of how far a body leans up to which it is judged."""
    lag_s: float
    """The time constant with which rotors and the like follow their commands."""
    allowance: Mapping[str, float]
    """By kind of mismatch: how much better a sound log may fit when that is undone."""

    def deviations(self, shapes: Shapes, motion: Motion, every: int = 1) -> Array:
        """(4, d): how many of its usual deviations each of the four is off, by all ticks or by one in `every`."""
        said, unsure, _ = _said(shapes, motion, self.coefficients, self.noise, every)
        unsure[0] += self._unusual(shapes, motion)
        off = said - self.usual
        off[3] = np.maximum(off[3], -_LESS * self.spread[3])  # that less remains is hardly a fault
        return off / np.sqrt(self.spread**2 + unsure)

    def loss(self, shapes: Shapes, motion: Motion, every: int = 1) -> float:
        """How badly a motion fits: the negative logarithm of Student's likelihood of its deviations, summed over the
        four, a mean over answers."""
        wider = 0.5 * np.log1p(self._unusual(shapes, motion) / self.spread[0] ** 2).sum()
        outside = float(shapes.implausible(motion, every).mean())
        surprises = surprise(self.deviations(shapes, motion, every)).sum(axis=0).mean()
        return float(surprises) + self.beyond(float(wider)) + _IMPLAUSIBLE * outside

    def _unusual(self, shapes: Shapes, motion: Motion) -> Array:
        """(d,) the variance of the middles of joints that is due to a posture in which others carry the load."""
        variance = np.zeros(len(self.noise))
        if len(self.posture):
            variance[: len(self.posture)] = _LOAD**2 * np.square(shapes.posture(motion) - self.posture).mean()
        return variance

    def beyond(self, shrinks: float) -> float:
        """What a loss is to be raised by where a motion was made smaller, by a sum of logarithms: a likelihood is that
        of the log that was recorded."""
        return 2.0 / (_DEGREES + 1.0) * shrinks / len(self.noise)


def learn(contract: Contract, motions: Sequence[Motion]) -> World:
    """Learn from sound motions, of many units; nothing is allowed for yet."""
    lags = _LAGS_S if Shapes(contract).roles.free else (0.0,)
    tried = [_learnt(Shapes(contract, lag_s), motions) for lag_s in lags]
    return min(tried, key=lambda world: float(np.log(world.noise).mean()))


def _learnt(shapes: Shapes, motions: Sequence[Motion]) -> World:
    coefficients = _regressed([_driven(shapes, motion) for motion in motions], shapes.allowed(motions[0]))
    much = np.full(coefficients.shape[1], 1e9)
    rests = [_said(shapes, motion, coefficients, much)[2] for motion in motions]
    noise = np.median([np.median(rest, axis=0) for rest in rests], axis=0) / 0.45  # of a normal error, its variance
    pairs = [_said(shapes, motion, coefficients, noise)[:2] for motion in motions]
    said, unsure = (np.stack(each) for each in zip(*pairs, strict=True))
    weight = 1.0 / unsure / (1.0 / unsure).sum(axis=0)
    usual = (weight * said).sum(axis=0)
    between = (weight * ((said - usual) ** 2 - unsure)).sum(axis=0)
    least = _LEAST * np.ones_like(usual)
    least[0] *= np.sqrt(noise)
    return World(
        coefficients=coefficients, usual=usual, noise=noise, spread=np.sqrt(np.maximum(between, least**2)),
        posture=np.mean([shapes.posture(motion) for motion in motions], axis=0),
        level=np.mean([shapes.level(motion) for motion in motions], axis=0), upright=_upright(shapes, motions),
        lag_s=shapes.lag_s, allowance={},
    )  # fmt: skip


def _upright(shapes: Shapes, motions: Sequence[Motion]) -> float:
    """A body that leans twice as far as sound ones do is about to fall."""
    furthest = np.arccos(min(shapes.upright(motion) for motion in motions))
    return float(np.cos(np.clip(_FURTHER * furthest, _LEAST_LEAN, np.arccos(UPRIGHT))))


def _driven(shapes: Shapes, motion: Motion) -> tuple[Array, Array]:
    """Regressors and answers from where nothing else holds the robot."""
    first = shapes.lifted(motion)
    regressors, answers = shapes.rows(motion)
    return regressors[first:], answers[first:]


def _said(
    shapes: Shapes, motion: Motion, coefficients: Array, noise: Array, every: int = 1
) -> tuple[Array, Array, Array]:
    """(4, d) what is left over says of a log, the variances of that, whatever the errors' size where it moves,
    and (n, d) what remains, squared."""
    regressors, answers = shapes.rows(motion, every)
    predicted = shapes.held(regressors @ coefficients)
    left = answers - predicted
    expected = noise + (_INEXACT * (predicted - np.median(predicted, axis=0))) ** 2
    weights = 1.0 / expected / (1.0 / expected).sum(axis=0)

    def mean(values: Array) -> Array:
        return (weights * values).sum(axis=0)

    moved, rising, rest = (each - mean(each) for each in (predicted, np.gradient(predicted, axis=0) / every, left))
    beyond = np.maximum(mean((rest + moved) ** 2) - noise, 0.0)
    a = mean(moved**2) + 0.01 * beyond + 1e-12  # what moves unpredicted has no gain
    b = mean(moved * rising)
    c = mean(rising**2) + 1e-4 * beyond + 1e-12
    by_gain, by_lag = (each / (a * c - b * b) for each in (c * moved - b * rising, a * rising - b * moved))
    gain, lag = mean((rest + moved) * by_gain) - 1.0, mean((rest + moved) * by_lag)
    off = rest - gain * moved - lag * rising
    rest = off**2 + 1e-12
    remains = (rest / expected).mean(axis=0)
    said = np.stack([np.median(left, axis=0), gain, lag, 0.5 * np.log(remains)])
    block, share = max(1, round(_BLOCK / every)), SPAN / every / len(left)
    errors = [variance_of_sum(off * by, block) for by in (1.0 / len(off), weights * by_gain, weights * by_lag)]
    unsure = np.stack([*errors, 0.25 * share * ((rest / expected) ** 2).mean(axis=0) / remains**2])
    unsure[1] += (noise / (a + beyond)) ** 2
    return said, unsure, rest


def variance_of_sum(terms: Array, block: int) -> Array:
    """(d,) the variance of the sum of terms (n, d) of which neighbours depend on one another, by the squares of the
    sums of all blocks (Newey and West, 1987), at least that of independent ones: noise of readings that are differences
    of others takes itself away, but a few blocks may do so by chance."""
    sums = np.cumsum(np.pad(terms, ((block, block), (0, 0))), axis=0)
    return np.maximum(np.square(sums[block:] - sums[:-block]).sum(axis=0) / block, np.square(terms).sum(axis=0))


def _regressed(pairs: Sequence[tuple[Array, Array]], allowed: Array) -> Array:
    """(p, d) by ridge regression within each log, since units differ in their middles: each answer on what it may
    depend on (p, d); the constant is not held back."""
    middles = [np.hstack(pair).mean(axis=0) for pair in pairs]
    all_middles = np.mean(middles, axis=0)
    size = pairs[0][0].shape[1]
    within = np.vstack([np.hstack(pair) - middle for pair, middle in zip(pairs, middles, strict=True)])
    regressors, answers = within[:, :size], within[:, size:]
    scale = regressors.std(axis=0)
    scale[scale == 0.0] = 1.0
    scaled = regressors / scale
    normal, products = scaled.T @ scaled, scaled.T @ answers
    normal[np.diag_indices_from(normal)] += _RIDGE * len(scaled)
    coefficients = np.zeros_like(products)
    for mask in np.unique(allowed, axis=1).T:
        own = np.flatnonzero((allowed == mask[:, None]).all(axis=0))
        used = np.flatnonzero(mask)
        coefficients[np.ix_(used, own)] = np.linalg.solve(normal[np.ix_(used, used)], products[np.ix_(used, own)])
    coefficients /= scale[:, None]
    coefficients[0] = all_middles[size:] - all_middles[1:size] @ coefficients[1:]
    return coefficients
