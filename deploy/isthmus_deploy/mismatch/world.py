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

from isthmus_deploy.mismatch.motion import Array, Motion
from isthmus_deploy.mismatch.shapes import SPAN, Shapes

_RIDGE = 1e-4
"""Noise of a regressor that is reckoned with, as a share of its usual deviation, squared."""
_DEGREES = 4.0  # of Student's t: what is far beyond explanation costs more, but ever less so
_LEAST = np.array([[0.1], [0.03], [0.3], [0.1]])
"""Least deviation from unit to unit: of the middle, as a share of what remains; of the gain; of the lag, in ticks; of
the logarithm of what remains."""
_WEIGHTS = np.array([[1.0], [1.0], [1.0], [1.5]])
_INEXACT = 0.2  # share of a motion that may remain: no unit is as linear as what is learnt of it
_IMPLAUSIBLE = 5.0  # for a log that is all outside of its contract's ranges


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
    allowance: Mapping[str, float]
    """By kind of mismatch: how much better a sound log may fit when that is undone."""

    def loss(self, shapes: Shapes, motion: Motion, every: int = 1) -> float:
        """How badly a motion fits, judged by all its ticks, or by one in `every`: the negative logarithm of Student's
        likelihood, a mean over answers."""
        said, unsure, _ = _said(shapes, motion, self.coefficients, self.noise, every)
        off = said - self.usual
        off[3] = np.maximum(off[3], 0.0)  # that less remains is no fault
        squared = off**2 / (self.spread**2 + unsure)
        outside = float(shapes.implausible(motion, every).mean())
        return float((_WEIGHTS * np.log1p(squared / _DEGREES)).sum(axis=0).mean()) + _IMPLAUSIBLE * outside


    def beyond(self, shrinks: float) -> float:
        """What a loss is to be raised by where a motion was made smaller, by a sum of logarithms: likelihoods are of the
        log that was recorded."""
        return 2.0 / (_DEGREES + 1.0) * shrinks / len(self.noise)


def learn(shapes: Shapes, motions: Sequence[Motion]) -> World:
    """Learn from sound motions, of many units; nothing is allowed for yet."""
    coefficients = _regressed([_driven(shapes, motion) for motion in motions], shapes.allowed(motions[0]))
    calm = np.stack([_said(shapes, motion, coefficients, np.ones(coefficients.shape[1]))[2] for motion in motions])
    noise = np.quantile(calm, 0.25, axis=0)
    pairs = [_said(shapes, motion, coefficients, noise)[:2] for motion in motions]
    said, unsure = (np.stack(each) for each in zip(*pairs, strict=True))
    weight = 1.0 / unsure / (1.0 / unsure).sum(axis=0)
    usual = (weight * said).sum(axis=0)
    between = (weight * ((said - usual) ** 2 - unsure)).sum(axis=0)
    least = _LEAST * np.ones_like(usual)
    least[0] *= np.sqrt(noise)
    return World(
        coefficients=coefficients, usual=usual, noise=noise, spread=np.sqrt(np.maximum(between, least**2)), allowance={}
    )  # fmt: skip


def _driven(shapes: Shapes, motion: Motion) -> tuple[Array, Array]:
    """Regressors and answers from where nothing else holds the robot."""
    first = shapes.lifted(motion)
    regressors, answers = shapes.rows(motion)
    return regressors[first:], answers[first:]


def _said(
    shapes: Shapes, motion: Motion, coefficients: Array, noise: Array, every: int = 1
) -> tuple[Array, Array, Array]:
    """(4, d) what is left over says of a log, the variances of that, whatever the errors' size where it moves (White,
    1980), and (d,) the variance of what remains beyond what comes of motion."""
    regressors, answers = shapes.rows(motion, every)
    predicted = shapes.held(regressors @ coefficients)
    left = answers - predicted
    moved, rising, rest = (_centred(each) for each in (predicted, np.gradient(predicted, axis=0) / every, left))
    beyond = np.maximum(((rest + moved) ** 2).mean(axis=0) - noise, 0.0)
    a = (moved**2).mean(axis=0) + 0.01 * beyond + 1e-12  # what moves unpredicted has no gain
    b = (moved * rising).mean(axis=0)
    c = (rising**2).mean(axis=0) + 1e-4 * beyond + 1e-12
    by_gain, by_lag = (each / (a * c - b * b) for each in (c * moved - b * rising, a * rising - b * moved))
    gain, lag = ((rest + moved) * by_gain).mean(axis=0) - 1.0, ((rest + moved) * by_lag).mean(axis=0)
    rest = (rest - gain * moved - lag * rising) ** 2 + 1e-12
    remains = rest.mean(axis=0)
    of_motion = _INEXACT**2 * (moved**2).mean(axis=0)
    said = np.stack([np.median(left, axis=0), gain, lag, 0.5 * np.log(remains / (noise + of_motion))])
    unsure = SPAN / every / len(left) * np.stack(  # errors of a span are one
        [remains, (by_gain**2 * rest).mean(axis=0), (by_lag**2 * rest).mean(axis=0),
         0.25 * (rest**2).mean(axis=0) / remains**2]
    )  # fmt: skip
    unsure[1] += (noise / (a + beyond)) ** 2  # where nothing moves, noise answers noise
    return said, unsure, np.maximum(remains - of_motion, 0.1 * remains)


def _centred(values: Array) -> Array:
    return values - values.mean(axis=0)


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
