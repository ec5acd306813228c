"""The trained world as a log shows it: how readings follow from the ones before and from the commands.

It is learnt from sound flights, of a stand-in robot or of a robot that was found to be right, over units that differ.
Each quantity in `_answers` is a linear function, by ridge regression, of what was read in the two ticks before and of
the commands in the last third of a second; what is left over has a covariance, in which the differences between units
count as well. A log fits by how small its left-over is beside that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.mismatch.motion import Array, Motion, Roles, roles

GRAVITY = 9.81  # m/s²
LAGS = (1, 2, 3, 5, 8, 12, 18)
"""Ticks by which commands are late in the regression."""
_SPAN = 4  # ticks over which kinematics are compared: noise of one tick would hide them
FIRST = _SPAN
"""The first tick that can be predicted; before the log begins, its first command is held to have been sent."""
_FALLEN = -0.3  # of gravity's part along the body's axis down, which is -1 where it stands level
_RIDGE = 1e-3
_TAIL = 3.0  # squared distance that costs half of the most: where a log is beyond explanation, it costs no more


class Shapes:
    """Turns the motions of a contract's robot into what is predicted, and what of.

    Args:
        contract: Of the robot.
    """

    def __init__(self, contract: Contract) -> None:
        self.roles: Roles = roles(contract)
        self._period_s = contract.control_period_s
        self._made: dict[str, tuple[Array, Array]] = {}

    def rows(self, motion: Motion, every: int = 1) -> tuple[Array, Array]:
        """Regressors (m, p) and answers (m, d) of all ticks but the first `FIRST`, or of one in `every`."""
        parts, down = self._parts(motion), self._down(motion)
        readings = [values for values in parts.values() if values.shape[1]]
        if down is not None:
            readings.append(down)
        state = np.hstack(readings)
        commands = [motion.commands[joints.command] for joints in self.roles.joints]
        for name in self.roles.free:
            commands += [motion.commands[name], _scaled_square(motion.commands[name])]
        driven = np.hstack(commands)
        ticks = np.arange(FIRST, len(driven), every)
        late = [driven[np.maximum(ticks - lag, 0)] for lag in LAGS]
        regressors = np.hstack([np.ones((len(ticks), 1)), state[ticks - 1], state[ticks - 2], *late])
        answers = np.hstack([values[ticks] for values in (*readings, *self._kinematics(motion))])
        return regressors, answers

    def standing(self, motion: Motion) -> Motion:
        """The motion up to where a body that was upright falls: what comes then is no control."""
        down = self._down(motion)
        if down is None or np.median(down[: 2 * _SPAN, 2]) > _FALLEN:
            return motion
        fallen = np.flatnonzero(down[:, 2] > _FALLEN)
        return motion.until(int(fallen[0])) if len(fallen) else motion

    def _parts(self, motion: Motion) -> dict[str, Array]:
        """Joint positions and rates, body rates, and the specific force in place of the velocity."""
        r, s = self.roles, motion.signals
        result = {name: s[name] for joints in r.joints for name in (joints.position, joints.rate) if name}
        if r.turning:
            result[r.turning] = s[r.turning]
        if r.velocity:
            result[r.velocity] = self._force(motion, s[r.velocity])
        return result

    def _force(self, motion: Motion, velocity: Array) -> Array:
        """(n, 3) m/s²: what an accelerometer would read, of the velocity in the body, its change and gravity."""
        change = np.vstack([np.zeros((2, 3)), velocity[2:] - velocity[:-2]]) / (2 * self._period_s)
        turning = motion.signals[self.roles.turning] if self.roles.turning else np.zeros_like(velocity)
        down = self._down(motion)
        gravity = 0.0 if down is None else GRAVITY * down
        return change + np.cross(turning, velocity) - gravity

    def _down(self, motion: Motion) -> Array | None:
        """(n, 3) the unit vector of gravity in the body."""
        if self.roles.orientation is None:
            return None
        return self._once("down", motion.signals[self.roles.orientation], _gravity)

    def _once(self, name: str, values: Array, make: Callable[[Array], Array]) -> Array:
        """What is made of the same array again and again: most suspects leave the orientation as it is."""
        if name not in self._made or self._made[name][0] is not values:
            self._made[name] = values, make(values)
        return self._made[name][1]

    def _kinematics(self, motion: Motion) -> list[Array]:
        """What rates and the changes of what they are rates of differ by, (n, ...) each."""
        r, s, result = self.roles, motion.signals, []
        for joints in r.joints:
            if joints.rate:
                result.append(self._change(s[joints.position]) - _mean(s[joints.rate]))
        if r.orientation and r.turning:
            result.append(self._once("turned", s[r.orientation], self._turned) - _mean(s[r.turning]))
        if r.orientation and r.position and r.velocity:
            moved = self._change(s[r.position])
            result.append(moved - _mean(in_world(s[r.orientation], s[r.velocity])))
        return result

    def _change(self, values: Array) -> Array:
        rate = (values[_SPAN:] - values[:-_SPAN]) / (_SPAN * self._period_s)
        return np.vstack([np.zeros((_SPAN, values.shape[1])), rate])

    def _turned(self, orientation: Array) -> Array:
        """(n, 3) rad/s: the mean body rate over the span, of the orientations at its ends."""
        before, after = orientation[:-_SPAN], orientation[_SPAN:]
        turn = product(before * [1.0, -1.0, -1.0, -1.0], after)
        turn = turn * np.where(turn[:, :1] < 0, -1.0, 1.0)
        rate = 2.0 * turn[:, 1:] / (_SPAN * self._period_s)
        return np.vstack([np.zeros((_SPAN, 3)), rate])


def _mean(values: Array) -> Array:
    """(n, k): the mean over each span, by the trapezium."""
    n = len(values)
    weights = [0.5, *(1.0,) * (_SPAN - 1), 0.5]
    total = sum(weight * values[i : n - _SPAN + i] for i, weight in enumerate(weights))
    return np.vstack([np.zeros((_SPAN, values.shape[1])), total / _SPAN])


def _gravity(orientation: Array) -> Array:
    """(n, 3) the unit vector of gravity in the body, of (n, 4)."""
    w, x, y, z = orientation.T
    return -np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], axis=1)


def _scaled_square(values: Array) -> Array:
    return values * np.abs(values) * 1e-3


def product(a: Array, b: Array) -> Array:
    """`a` after `b`, (n, 4) quaternions wxyz."""
    w = a[:, :1] * b[:, :1] - (a[:, 1:] * b[:, 1:]).sum(axis=1, keepdims=True)
    return np.hstack([w, a[:, :1] * b[:, 1:] + b[:, :1] * a[:, 1:] + np.cross(a[:, 1:], b[:, 1:])])


def in_world(orientation: Array, vectors: Array) -> Array:
    """(n, 3) turned by (n, 4)."""
    twice = 2.0 * np.cross(orientation[:, 1:], vectors)
    return vectors + orientation[:, :1] * twice + np.cross(orientation[:, 1:], twice)


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """What sound motions have taught."""

    coefficients: Array
    """(p, d): of regressors, to answers that are whitened as well."""
    whiten: Array
    """(d, d): makes what is left over uncorrelated and of size one."""
    allowance: Mapping[str, float]
    """By kind of mismatch: how much better a sound log may fit when that is undone."""

    def loss(self, shapes: Shapes, motion: Motion, every: int = 1) -> float:
        """How badly a motion fits, from 0 to 1: the mean over its ticks, or one in `every`, of d²/(d² + 3) (Geman and
        McClure), where d is the distance in standard deviations of what is left over; some 0.25 for a sound log."""
        regressors, answers = shapes.rows(motion, every)
        left = answers @ self.whiten - regressors @ self.coefficients
        distance = (left * left).mean(axis=1)
        return float((distance / (distance + _TAIL)).mean())


def learn(shapes: Shapes, motions: Sequence[Motion]) -> World:
    """Learn from sound motions, of many units; nothing is allowed for yet."""
    pairs = [shapes.rows(motion) for motion in motions]
    regressors, answers = (np.vstack(each) for each in zip(*pairs, strict=True))
    scale = np.sqrt((regressors**2).mean(axis=0)) + 1e-9
    scaled = regressors / scale
    normal = scaled.T @ scaled + _RIDGE * len(scaled) * np.eye(scaled.shape[1])
    coefficients = np.linalg.solve(normal, scaled.T @ answers)
    left = answers - scaled @ coefficients
    covariance = left.T @ left / len(left)
    size = np.sqrt(np.diag(covariance)) + 1e-9
    values, vectors = np.linalg.eigh(covariance / np.outer(size, size))
    whiten = (vectors / np.sqrt(np.maximum(values, 1e-3))) / size[:, None]
    return World(coefficients=coefficients / scale[:, None] @ whiten, whiten=whiten, allowance={})
