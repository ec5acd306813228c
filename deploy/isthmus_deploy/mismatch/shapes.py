"""What of a motion is to be explained, and by what: answers and regressors, tick by tick."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.mismatch.lag import lagged
from isthmus_deploy.mismatch.motion import Array, Joints, Motion, Roles, roles
from isthmus_deploy.mismatch.quaternions import in_world, product

GRAVITY = 9.81  # m/s²
BINS = (1, 3, 6, 12, 24, 48)
"""Commands count by their means over so many ticks before: 1, 2 to 3, 4 to 6 and so on."""
SPAN = 8
"""Ticks over which changes are compared: noise of one tick would hide them."""
FIRST = SPAN + 1
"""The first tick that can be predicted; before the log begins, its first command is held to have been sent."""
LEAST = 2 * FIRST
"""Ticks that a log must have."""
_ALWAYS, _ROTORS, _POSTURE = 0, -1, -2
"""What answers may depend on, by number: the constant, commands that drive the body, the joints' positions; from 1 on
the command of one joint."""
_CARRIED = 0.95  # of its weight
UPRIGHT = 0.5
"""The cosine of how far a body leans that has surely fallen."""


Owned = tuple[Array, Array]
"""Values (n, k), and what each column belongs to, (k,)."""


class Shapes:
    """Turns the motions of a contract's robot into what is predicted, and what of.

    Args:
        contract: Of the robot.
        lag_s: The time constant with which rotors and the like follow their commands, s.
    """

    def __init__(self, contract: Contract, lag_s: float = 0.0) -> None:
        self.roles: Roles = roles(contract)
        self.lag_s = lag_s
        self._period_s = contract.control_period_s
        self._made: dict[str, tuple[Array, Array]] = {}
        r = self.roles
        self._lift = sum(len(each.names) for each in r.joints) + 5 if r.free and r.turning and r.velocity else None
        """The answer that is the force along the body's axis up, after three each of turning and force."""
        self._stops = {each.command: _stops(each, contract) for each in self.roles.joints}
        self._range = {
            signal.name: (np.array(signal.minimum), np.array(signal.maximum))
            for signal in contract.signals
            if len(signal.shape) == 1 and signal.dtype != "uint8"
        }

    def rows(self, motion: Motion, every: int = 1) -> tuple[Array, Array]:
        """Regressors (m, p) and answers (m, d) of all ticks but the first `FIRST`, or of one in `every`."""
        ticks = np.arange(FIRST, len(motion), every)
        steady, answers = self._blocks(motion, ticks)
        constant = np.ones((len(ticks), 1))
        return np.hstack([constant, *(v for v, _ in steady)]), np.hstack([v for v, _ in answers])

    def allowed(self, motion: Motion) -> Array:
        """(p, d) bool: which regressors an answer may depend on. A log need not move all joints independently: without
        this an answer would be spread over the commands of all that moved with it."""
        blocks = self._blocks(motion, np.arange(FIRST, FIRST + 1))
        steady, answers = (np.concatenate([owner for _, owner in block]) for block in blocks)
        owner = np.concatenate([[_ALWAYS], steady])
        return (owner[:, None] == answers) | (owner == _ALWAYS)[:, None]

    def posture(self, motion: Motion) -> Array:
        """(joints,) rad: where they are in the middle of the log."""
        positions = [motion.signals[joints.position] for joints in self.roles.joints]
        none = np.empty(0)
        made = [
            self._once(f"posture of {joints.position}", none, values, lambda values, _: np.median(values, axis=0))
            for joints, values in zip(self.roles.joints, positions, strict=True)
        ]
        return np.concatenate([none, *made])

    def level(self, motion: Motion) -> Array:
        """(commands,) what drives the body, in the middle of the ticks in which it carries it."""
        first = self.lifted(motion)
        medians = [np.median(motion.commands[name][first:], axis=0) for name in self.roles.free]
        return np.concatenate([np.empty(0), *medians])

    def _blocks(self, motion: Motion, ticks: Array) -> tuple[list[Owned], list[Owned]]:
        """What counts at a tick, and what follows: of joints, of the body, of rates."""
        steady: list[Owned] = []
        answers: list[Owned] = []
        owner = 0
        for joints in self.roles.joints:
            position, command = motion.signals[joints.position], motion.commands[joints.command]
            own = owner + 1 + np.arange(len(joints.names))
            owner = int(own[-1])
            means = self._once(joints.command, ticks, command, self._means_of(joints))
            change = self._once(f"change of {joints.position}", ticks, position, self._change)
            steady.append((means, np.tile(own, len(BINS) - 1)))
            steady += [_owned(position[ticks], _POSTURE), _owned(change, _POSTURE)]
            answers.append((position[ticks], own))
        for name in self.roles.free:
            steady.append(_owned(self._once(name, ticks, motion.commands[name], self._work), _ROTORS))
        body = _ROTORS if self.roles.free else _POSTURE
        answers += [_owned(values, body) for values in self._body(motion, ticks)]
        for change, rate in self._kinematics(motion, ticks):
            own = owner + 1 + np.arange(change.shape[1])
            owner = int(own[-1])
            steady.append((change, own))
            answers.append((rate, own))
        return steady, answers

    def _means_of(self, joints: Joints) -> Callable[[Array, Array], Array]:
        """Means of commands, up to the joints' stops."""
        stops = self._stops[joints.command]
        return lambda values, ticks: np.hstack(_means_before(np.clip(values, *stops), ticks))

    def _work(self, values: Array, ticks: Array) -> Array:
        """The mean square, with its sign, of what rotors reach of commands over a span."""
        speed = lagged(values, self._period_s, self.lag_s)
        return _mean(speed * np.abs(speed), ticks - 1)

    def _body(self, motion: Motion, ticks: Array) -> list[Array]:
        """Where rotors drive it, the change of its rates and the force; else its rates and where down is."""
        r, s, down = self.roles, motion.signals, self._down(motion)
        if r.free:
            result = [self._change(s[r.turning], ticks)] if r.turning else []
            return result + ([_mean(self._force(motion, s[r.velocity]), ticks)] if r.velocity else [])
        result = [self._once(f"mean of {r.turning}", ticks, s[r.turning], _mean)] if r.turning else []
        return result + ([] if down is None else [down[ticks]])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the answers, in their order."""
        r, axes = self.roles, "xyz"
        names = [f"{joints.position} of {name}" for joints in r.joints for name in joints.names]
        if r.free:
            names += [f"the change of {r.turning} about {axis}" for axis in axes if r.turning]
            names += [f"the force along {axis}" for axis in axes if r.velocity]
        else:
            names += [f"{r.turning} about {axis}" for axis in axes if r.turning]
            names += [f"where down is along {axis}" for axis in axes if r.orientation]
        names += [f"{joints.rate} of {name}" for joints in r.joints if joints.rate for name in joints.names]
        if r.orientation and r.turning:
            names += [f"{r.turning} against {r.orientation} about {axis}" for axis in axes]
        if r.orientation and r.position and r.velocity:
            names += [f"{r.velocity} against {r.position} along {axis}" for axis in axes]
        return tuple(names)

    def lifted(self, motion: Motion) -> int:
        """The tick at which rotors first carry a sound robot: they do as much as in the middle of its log."""
        if not self.roles.free:
            return 0
        speeds = np.hstack([lagged(motion.commands[name], self._period_s, self.lag_s) for name in self.roles.free])
        work = (speeds**2).mean(axis=1)
        return int(np.argmax(work >= _CARRIED * np.median(work)))

    def held(self, predicted: Array) -> Array:
        """Predicted answers (m, d), but that the ground holds a robot until its rotors are predicted to lift it."""
        if self._lift is None:
            return predicted
        waits = np.maximum.accumulate(predicted[:, self._lift] >= _CARRIED * GRAVITY) == 0
        predicted[waits, self._lift - 5 : self._lift] = 0.0
        predicted[waits, self._lift] = GRAVITY
        return predicted

    def implausible(self, motion: Motion, every: int = 1) -> Array:
        """(m,) bool: ticks with a reading that the contract holds to be none."""
        ticks = np.arange(FIRST, len(motion), every)
        outside = np.zeros(len(ticks), bool)
        for name in self._range:
            if name in motion.signals:
                outside |= self._once(f"outside of {name}", ticks, motion.signals[name], self._outside_of(name))
        return outside

    def _outside_of(self, name: str) -> Callable[[Array, Array], Array]:
        low, high = self._range[name]
        return lambda values, ticks: np.any((values[ticks] < low) | (values[ticks] > high), axis=1)

    def upright(self, motion: Motion) -> float:
        """The least cosine of how far the body leans in a log; 1 where nothing measures it."""
        down = self._down(motion)
        return 1.0 if down is None else float(-down[:, 2].max())

    def standing(self, motion: Motion, upright: float = UPRIGHT) -> Motion:
        """The motion up to where a body that was upright leans so far that the cosine is less, or its rotors stop: what
        comes then is no control, or follows from what went wrong before."""
        ends = len(motion)
        down = self._down(motion)
        if down is not None and np.median(down[: 2 * SPAN, 2]) <= -upright:
            ends = max(LEAST, _first(down[:, 2] > -upright))
        for name in self.roles.free:
            turns = np.any(motion.commands[name] != 0.0, axis=1)
            begun = _first(turns)
            ends = min(ends, begun + _first(~turns[begun:]))
        return motion.until(ends)

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
        orientation = motion.signals[self.roles.orientation]
        return self._once("down", np.empty(len(orientation)), orientation, lambda values, _: _gravity(values))

    def _once(self, name: str, ticks: Array, values: Array, make: Callable[[Array, Array], Array]) -> Array:
        """What is made of the same array again and again: most suspects leave most as it is."""
        key = f"{name} at {len(ticks)}"
        if key not in self._made or self._made[key][0] is not values:
            self._made[key] = values, make(values, ticks)
        return self._made[key][1]

    def _kinematics(self, motion: Motion, ticks: Array) -> list[tuple[Array, Array]]:
        """Changes, and the mean rates that they are of, (m, k) each."""
        r, s, result = self.roles, motion.signals, []
        for joints in r.joints:
            if joints.rate:
                change = self._once(f"change of {joints.position}", ticks, s[joints.position], self._change)
                result.append((change, self._once(f"mean of {joints.rate}", ticks, s[joints.rate], _mean)))
        if r.orientation and r.turning:
            turned = self._once("turned", ticks, s[r.orientation], self._turned)
            result.append((turned, self._once(f"mean of {r.turning}", ticks, s[r.turning], _mean)))
        if r.orientation and r.position and r.velocity:
            velocity = in_world(s[r.orientation], s[r.velocity])
            result.append((self._change(s[r.position], ticks), _mean(velocity, ticks)))
        return result

    def _change(self, values: Array, ticks: Array) -> Array:
        return (values[ticks] - values[ticks - SPAN]) / (SPAN * self._period_s)

    def _turned(self, orientation: Array, ticks: Array) -> Array:
        """(m, 3) rad/s: the mean body rate over the span, of the orientations at its ends."""
        turn = product(orientation[ticks - SPAN] * [1.0, -1.0, -1.0, -1.0], orientation[ticks])
        turn = turn * np.where(turn[:, :1] < 0, -1.0, 1.0)
        return 2.0 * turn[:, 1:] / (SPAN * self._period_s)


def _first(true: Array) -> int:
    """The first element that is true, or how many there are."""
    return int(np.argmax(true)) if true.any() else len(true)


def _owned(values: Array, owner: int) -> Owned:
    return values, np.full(values.shape[1], owner)


def _stops(joints: Joints, contract: Contract) -> tuple[Array, Array]:
    """Least and greatest position that each joint can have, rad."""
    known = [contract.joints.get(name) for name in joints.names]
    low = [-np.inf if joint is None else joint.position_min for joint in known]
    return np.array(low), np.array([np.inf if joint is None else joint.position_max for joint in known])


def _mean(values: Array, ticks: Array) -> Array:
    """(m, k): the mean over each span that ends at a tick, by the trapezium."""
    total = 0.5 * (values[ticks] + values[ticks - SPAN])
    for back in range(1, SPAN):
        total += values[ticks - back]
    return total / SPAN


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
