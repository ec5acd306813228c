"""The trained world as a log shows it: how readings follow from the ones before and from the commands.

It is learnt from sound flights, of a stand-in robot or of a robot that was found to be right, over units that differ.
Each quantity is a linear function, by ridge regression, of what was read in the two ticks before and of the commands in
the ticks before; what is left over has a covariance, in which the differences between units count as well. A log fits
by how small its left-over is beside that.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.mismatch.motion import Array, Joints, Motion, Roles, roles

GRAVITY = 9.81  # m/s²
BINS = (1, 2, 3, 5, 8, 12, 18, 27, 40, 60)
"""Commands count by their means over so many ticks before: 1, 2 to 3, 4 to 6 and so on."""
_SPAN = 8  # ticks over which kinematics are compared: noise of one tick would hide them
FIRST = _SPAN
"""The first tick that can be predicted; before the log begins, its first command is held to have been sent."""
_BEYOND = 1e6
_BODY = -1
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
        self._stops = {each.command: _stops(each, contract) for each in self.roles.joints}
        self._range = {
            signal.name: (np.array(signal.minimum), np.array(signal.maximum))
            for signal in contract.signals
            if len(signal.shape) == 1 and signal.dtype != "uint8"
        }

    def rows(self, motion: Motion, every: int = 1) -> tuple[Array, Array]:
        """Regressors (m, p) and answers (m, d) of all ticks but the first `FIRST`, or of one in `every`."""
        readings = [*self._of_joints(motion), *self._of_body(motion)]
        state, driven = np.hstack(readings), np.hstack(self._driven(motion))
        ticks = np.arange(FIRST, len(driven), every)
        late = _means_before(driven, ticks)
        regressors = np.hstack([np.ones((len(ticks), 1)), state[ticks - 1], state[ticks - 2], *late])
        answered = [*self._of_joints(motion), *self._body_answers(motion), *self._kinematics(motion)]
        answers = np.hstack([values[ticks] for values in answered])
        return regressors, answers

    def implausible(self, motion: Motion, every: int = 1) -> Array:
        """(m,) bool: ticks with a reading that the contract holds to be none."""
        ticks = np.arange(FIRST, len(motion), every)
        outside = np.zeros(len(ticks), bool)
        for name, values in motion.signals.items():
            low, high = self._range[name]
            outside |= ((values[ticks] < low) | (values[ticks] > high)).any(axis=1)
        return outside

    def standing(self, motion: Motion) -> Motion:
        """The motion up to where a body that was upright falls: what comes then is no control."""
        down = self._down(motion)
        if down is None or np.median(down[: 2 * _SPAN, 2]) > _FALLEN:
            return motion
        fallen = np.flatnonzero(down[:, 2] > _FALLEN)
        return motion.until(int(fallen[0])) if len(fallen) else motion

    def allowed(self, motion: Motion) -> Array:
        """(p, d) bool: which regressors an answer may depend on. A joint answers to its own command and to how the body
        lies and turns; the body to what drives it directly, or else to where it and the joints were. A log need not
        move all joints independently: without this an answer would be spread over all that moved with it."""
        numbers = iter(range(10**6))
        joints = [np.array([next(numbers) for _ in each.names]) for each in self.roles.joints]
        rated = [own for own, each in zip(joints, self.roles.joints, strict=True) if each.rate]
        read = [own for own, each in zip(joints, self.roles.joints, strict=True) for _ in range(2 if each.rate else 1)]
        body = sum(values.shape[1] for values in self._of_body(motion))
        state = np.concatenate([*read, np.full(body, _BODY)])
        free = sum(values.shape[1] for values in self._driven(motion)) - sum(map(len, joints))
        driven = np.concatenate([*joints, np.full(free, _BODY)])
        owner = np.concatenate([[_BODY], state, state, *(driven for _ in BINS[1:])])
        told = np.arange(len(owner)) > 2 * len(state)
        answered = sum(values.shape[1] for values in self._body_answers(motion))
        others = sum(values.shape[1] for values in self._kinematics(motion)) - sum(map(len, rated))
        answers = np.concatenate([*read, np.full(answered, _BODY), *rated, np.full(others, _BODY)])
        of_body = told | (np.arange(len(owner)) == 0) if self.roles.free else ~told
        of_joint = (owner[:, None] == answers) | ((owner == _BODY) & ~told)[:, None]
        return np.where(answers == _BODY, of_body[:, None], of_joint)

    def _body_answers(self, motion: Motion) -> list[Array]:
        """What the body does: as it is read; where commands drive it directly, the force over a span and the change of
        its rates in one. From tick to tick these are noise, and follow from what was read before as well as from
        commands, since a policy makes these of it."""
        if not self.roles.free:
            return self._of_body(motion)
        r, s = self.roles, motion.signals
        result = [self._change(s[r.turning])] if r.turning else []
        return result + ([_mean(self._force(motion, s[r.velocity]))] if r.velocity else [])

    def _driven(self, motion: Motion) -> list[Array]:
        """Commands that readings answer to: of joints up to their stops, of rotors and the like the square as well."""
        commands = [np.clip(motion.commands[name], *stops) for name, stops in self._stops.items()]
        for name in self.roles.free:
            commands += [motion.commands[name], _scaled_square(motion.commands[name])]
        return commands

    def _of_joints(self, motion: Motion) -> list[Array]:
        s = motion.signals
        return [s[name] for joints in self.roles.joints for name in (joints.position, joints.rate) if name]

    def _of_body(self, motion: Motion) -> list[Array]:
        """Body rates, the specific force in place of the velocity, and where down is; what is measured of them."""
        r, s, down = self.roles, motion.signals, self._down(motion)
        result = [s[r.turning]] if r.turning else []
        result += [self._force(motion, s[r.velocity])] if r.velocity else []
        return result + ([] if down is None else [down])

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


def _stops(joints: Joints, contract: Contract) -> tuple[Array, Array]:
    """Least and greatest position that each joint can have, rad."""
    known = [contract.joints.get(name) for name in joints.names]
    low = [-np.inf if joint is None else joint.position_min for joint in known]
    return np.array(low), np.array([np.inf if joint is None else joint.position_max for joint in known])


def _mean(values: Array) -> Array:
    """(n, k): the mean over each span, by the trapezium."""
    n = len(values)
    weights = [0.5, *(1.0,) * (_SPAN - 1), 0.5]
    total = sum(weight * values[i : n - _SPAN + i] for i, weight in enumerate(weights))
    return np.vstack([np.zeros((_SPAN, values.shape[1])), total / _SPAN])


def _means_before(driven: Array, ticks: Array) -> list[Array]:
    """(m, k) for each bin; what was sent before the log begins is held to be the same as its first command."""
    most = BINS[-1]
    sums = np.cumsum(np.vstack([np.zeros_like(driven[:1]), np.repeat(driven[:1], most, axis=0), driven]), axis=0)
    at = ticks + most + 1
    return [(sums[at - near] - sums[at - far]) / (far - near) for near, far in itertools.pairwise(BINS)]


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
        distance[shapes.implausible(motion, every)] = _BEYOND
        return float((distance / (distance + _TAIL)).mean())


def learn(shapes: Shapes, motions: Sequence[Motion]) -> World:
    """Learn from sound motions, of many units; nothing is allowed for yet."""
    pairs = [shapes.rows(motion) for motion in motions]
    regressors, answers = (np.vstack(each) for each in zip(*pairs, strict=True))
    middle, scale = regressors.mean(axis=0), regressors.std(axis=0) + 1e-9
    scaled = (regressors - middle) / scale
    normal, products = scaled.T @ scaled, scaled.T @ (answers - answers.mean(axis=0))
    normal[np.diag_indices_from(normal)] += _RIDGE * len(scaled)
    coefficients = np.zeros_like(products)
    allowed = shapes.allowed(motions[0])
    for mask in np.unique(allowed, axis=1).T:
        own = np.flatnonzero((allowed == mask[:, None]).all(axis=0))
        used = np.flatnonzero(mask)
        coefficients[np.ix_(used, own)] = np.linalg.solve(normal[np.ix_(used, used)], products[np.ix_(used, own)])
    coefficients /= scale[:, None]
    coefficients[0] = answers.mean(axis=0) - middle[1:] @ coefficients[1:]  # of the constant
    left = answers - regressors @ coefficients
    covariance = left.T @ left / len(left)
    size = np.sqrt(np.diag(covariance)) + 1e-9
    values, vectors = np.linalg.eigh(covariance / np.outer(size, size))
    whiten = (vectors / np.sqrt(np.maximum(values, 1e-3))) / size[:, None]
    return World(coefficients=coefficients @ whiten, whiten=whiten, allowance={})
