"""What of a motion is to be explained, and by what: answers and regressors, tick by tick."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.mismatch.motion import Array, Joints, Motion, Roles, roles
from isthmus_deploy.mismatch.quaternions import in_world, product

GRAVITY = 9.81  # m/s²
BINS = (1, 2, 3, 5, 8, 12, 18, 27, 40, 60)
"""Commands count by their means over so many ticks before: 1, 2 to 3, 4 to 6 and so on."""
_SPAN = 8  # ticks over which changes are compared: noise of one tick would hide them
FIRST = _SPAN
"""The first tick that can be predicted; before the log begins, its first command is held to have been sent."""
_ALWAYS, _ROTORS, _POSTURE = 0, -1, -2
"""What answers may depend on, by number: the constant, commands that drive the body, the joints' positions; from 1 on
the command of one joint."""
_FALLEN = -0.3  # of gravity's part along the body's axis down, which is -1 where it stands level


Owned = tuple[Array, Array]
"""Values (n, k), and what each column belongs to, (k,)."""


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
        ticks = np.arange(FIRST, len(motion), every)
        means = _means_before(np.hstack([values for values, _ in self._driven(motion)]), ticks)
        posture = [values[ticks] for values, _ in self._posture(motion)]
        answers = [values[ticks] for values, _ in self._answers(motion)]
        return np.hstack([np.ones((len(ticks), 1)), *posture, *means]), np.hstack(answers)

    def allowed(self, motion: Motion) -> Array:
        """(p, d) bool: which regressors an answer may depend on. A log need not move all joints independently: without
        this an answer would be spread over the commands of all that moved with it."""
        posture, driven, answers = (
            np.concatenate([owner for _, owner in made(motion)] or [[]])
            for made in (self._posture, self._driven, self._answers)
        )
        owner = np.concatenate([[_ALWAYS], posture, *(driven for _ in BINS[1:])])
        return (owner[:, None] == answers) | (owner == _ALWAYS)[:, None]

    def _joints(self) -> Iterator[tuple[Joints, Array]]:
        """Each group of joints, and their numbers from 1 on."""
        first = 1
        for joints in self.roles.joints:
            yield joints, np.arange(first, first + len(joints.names))
            first += len(joints.names)

    def _driven(self, motion: Motion) -> list[Owned]:
        """Commands: of joints up to their stops, of rotors and the like the square as well."""
        made = [(np.clip(motion.commands[j.command], *self._stops[j.command]), own) for j, own in self._joints()]
        for name in self.roles.free:
            values = motion.commands[name]
            made += [_owned(values, _ROTORS), _owned(values * np.abs(values), _ROTORS)]
        return made

    def _posture(self, motion: Motion) -> list[Owned]:
        """Where the joints are, and how they have moved."""
        positions = [motion.signals[joints.position] for joints in self.roles.joints]
        return [_owned(made, _POSTURE) for values in positions for made in (values, self._change(values))]

    def _answers(self, motion: Motion) -> list[Owned]:
        """Where joints are; what the body does; what rates and changes differ by."""
        made = [(motion.signals[joints.position], own) for joints, own in self._joints()]
        body = _ROTORS if self.roles.free else _POSTURE
        made += [_owned(values, body) for values in self._body(motion)]
        return made + [_owned(values, _ALWAYS) for values in self._kinematics(motion)]

    def _body(self, motion: Motion) -> list[Array]:
        """Where rotors drive it, the change of its rates and the force; else its rates and where down is."""
        r, s, down = self.roles, motion.signals, self._down(motion)
        if r.free:
            result = [self._change(s[r.turning])] if r.turning else []
            return result + ([_mean(self._force(motion, s[r.velocity]))] if r.velocity else [])
        result = [_mean(s[r.turning])] if r.turning else []
        return result + ([] if down is None else [down])

    def implausible(self, motion: Motion, every: int = 1) -> Array:
        """(m,) bool: ticks with a reading that the contract holds to be none."""
        ticks = np.arange(FIRST, len(motion), every)
        outside = np.zeros(len(ticks), bool)
        for name, values in motion.signals.items():
            if name in self._range:
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


def _owned(values: Array, owner: int) -> Owned:
    return values, np.full(values.shape[1], owner)


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
