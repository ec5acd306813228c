"""The trained world as a log shows it: how a robot answers to its commands, and its readings to one another.

It is learnt from sound flights, of a stand-in robot or of a robot that was found to be right, over units that differ.
What drives what is given: a joint is where its own command has been, the body is moved by rotors or, on legs, lies as
the joints are, and rates are the changes of what they are rates of. How much is learnt, by ridge regression. What was
read before explains nothing: a smooth motion would follow from itself, whatever is sent. What is left over is a mean of
the whole log, which differs from unit to unit, and what varies around it; both have their usual sizes, and a log fits
by how small they are beside these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isthmus_deploy.mismatch.motion import Array, Motion
from isthmus_deploy.mismatch.shapes import Shapes

_RIDGE = 0.05
"""Noise of a regressor that is reckoned with, as a share of its usual deviation, squared."""
_TAIL = 3.0  # squared distance that costs half of the most: where a log is beyond explanation, it costs no more
_BEYOND = 1e6


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """What sound motions have taught."""

    coefficients: Array
    """(p, d): what answers follow from."""
    whiten: Array
    """(d, d): makes what varies in a log uncorrelated and of size one."""
    between: Array
    """(d,) the usual size of a log's own mean."""
    allowance: Mapping[str, float]
    """By kind of mismatch: how much better a sound log may fit when that is undone."""

    def loss(self, shapes: Shapes, motion: Motion, every: int = 1) -> float:
        """How badly a motion fits, from 0 to 1: half by what varies, the mean over its ticks, or one in `every`, and
        half by what stays, each d²/(d² + 3) (Geman and McClure) of a distance d in standard deviations."""
        regressors, answers = shapes.rows(motion, every)
        left = answers - regressors @ self.coefficients
        middle = np.median(left, axis=0)
        varying = (left - middle) @ self.whiten
        distance = (varying * varying).mean(axis=1)
        distance[shapes.implausible(motion, every)] = _BEYOND
        staying = float(np.square(middle / self.between).mean())
        return 0.5 * float((distance / (distance + _TAIL)).mean()) + 0.5 * staying / (staying + _TAIL)


def learn(shapes: Shapes, motions: Sequence[Motion]) -> World:
    """Learn from sound motions, of many units; nothing is allowed for yet."""
    pairs = [shapes.rows(motion) for motion in motions]
    regressors, answers = (np.vstack(each) for each in zip(*pairs, strict=True))
    coefficients = _regressed(regressors, answers, shapes.allowed(motions[0]))
    rests = [own_answers - own @ coefficients for own, own_answers in pairs]
    middles = np.stack([np.median(rest, axis=0) for rest in rests])
    varying = np.vstack([rest - middle for rest, middle in zip(rests, middles, strict=True)])
    covariance = varying.T @ varying / len(varying)
    size = np.sqrt(np.diag(covariance)) + 1e-9
    values, vectors = np.linalg.eigh(covariance / np.outer(size, size))
    return World(
        coefficients=coefficients,
        whiten=(vectors / np.sqrt(np.maximum(values, 1e-3))) / size[:, None],
        between=np.sqrt((middles**2).mean(axis=0)) + 0.1 * size,
        allowance={},
    )


def _regressed(regressors: Array, answers: Array, allowed: Array) -> Array:
    """(p, d) by ridge regression, each answer on what it may depend on (p, d); the constant is not held back."""
    middle = np.median(regressors, axis=0)
    scale = 1.5 * np.median(np.abs(regressors - middle), axis=0)  # so that taking off does not count
    scale = np.where(scale > 0, scale, regressors.std(axis=0) + 1e-9)
    scaled = (regressors - regressors.mean(axis=0)) / scale
    normal, products = scaled.T @ scaled, scaled.T @ (answers - answers.mean(axis=0))
    normal[np.diag_indices_from(normal)] += _RIDGE * len(scaled)
    coefficients = np.zeros_like(products)
    for mask in np.unique(allowed, axis=1).T:
        own = np.flatnonzero((allowed == mask[:, None]).all(axis=0))
        used = np.flatnonzero(mask)
        coefficients[np.ix_(used, own)] = np.linalg.solve(normal[np.ix_(used, used)], products[np.ix_(used, own)])
    coefficients /= scale[:, None]
    coefficients[0] = answers.mean(axis=0) - regressors[:, 1:].mean(axis=0) @ coefficients[1:]
    return coefficients
