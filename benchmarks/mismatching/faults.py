"""Faults between the trained world and a robot, of twelve kinds, drawn at random: each as it happens in the field."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from mismatching.robots import Fault, Values

Draw = Callable[[np.random.Generator], Fault]
Random = np.random.Generator
Change = Callable[[np.ndarray], np.ndarray]
Choice = TypeVar("Choice")

DEGREES = 180 / math.pi
HOVER = 1557.0  # rad/s, of the hand-made quadrotor
_JOINTS = 12
_TO_GO2 = np.array([3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8])  # FL FR RL RR to FR FL RR RL
_BY_LINK = np.arange(_JOINTS).reshape(4, 3).T.ravel()  # all hips, all thighs, all calves


def _one_of(random: Random, choices: Sequence[Choice]) -> Choice:
    return choices[int(random.integers(len(choices)))]


def _on(names: tuple[str, ...], change: Change) -> Callable[[Values, int], Values]:
    return lambda values, tick: {**values, **{name: change(values[name]) for name in names}}


def _sent(name: str, change: Change) -> Callable[[Values, Values, int], Values]:
    return lambda values, readings, tick: {**values, name: change(values[name])}


def _late(names: tuple[str, ...], ticks: int) -> Callable[[Values, int], Values]:
    line: deque[Values] = deque(maxlen=ticks + 1)

    def change(values: Values, tick: int) -> Values:
        line.append(values)
        return {**values, **{name: line[0][name] for name in names}}

    return change


def _frozen(name: str, element: int, at: int) -> Callable[[Values, int], Values]:
    held: list[float] = []

    def change(values: Values, tick: int) -> Values:
        if tick < at:
            return values
        held.append(float(values[name][element]))
        stuck = values[name].copy()
        stuck[element] = held[0]
        return {**values, name: stuck}

    return change


def _late_commands(ticks: int) -> Callable[[Values, Values, int], Values]:
    line: deque[Values] = deque(maxlen=ticks + 1)

    def change(values: Values, readings: Values, tick: int) -> Values:
        line.append(values)
        return line[0]

    return change


def _flip(element: int, size: int) -> np.ndarray:
    signs = np.ones(size)
    signs[element] = -1.0
    return signs


def _offset(random: Random, name: str, size: int) -> Fault:
    """One element reads 0.12 to 0.35 rad, or rad/s, too much or too little."""
    value = np.zeros(size)
    value[random.integers(size)] = random.uniform(0.12, 0.35) * random.choice([-1.0, 1.0])
    return Fault(readings=_on((name,), lambda v: v + value))


def _factor(random: Random) -> float:
    return float(random.uniform(0.3, 0.55) if random.random() < 0.5 else random.uniform(1.8, 3.0))


def _steps(random: Random) -> Callable[[int, int], int]:
    """Ticks of another length, or of two lengths in turn."""
    if random.random() < 0.5:
        factor = random.choice([0.8, 1.25, 1.5])
        return lambda nominal, tick: round(factor * nominal)
    return lambda nominal, tick: round(nominal * (0.7 if tick % 2 else 1.3))


_VECTOR_FRAMES: tuple[Change, ...] = (
    lambda v: np.array([v[1], -v[0], v[2]]),
    lambda v: np.array([-v[0], -v[1], v[2]]),
    lambda v: np.array([v[0], -v[1], -v[2]]),
    lambda v: np.array([v[1], v[0], -v[2]]),
)


def _turned(quaternion: np.ndarray, vector: np.ndarray, *, back: bool) -> np.ndarray:
    w, axis = quaternion[0], quaternion[1:] * (-1.0 if back else 1.0)
    twice = 2.0 * np.cross(axis, vector)
    return vector + w * twice + np.cross(axis, twice)


def _frame(orientation: str, vectors: tuple[str, ...], random: Random) -> Fault:
    name = _one_of(random, vectors)
    which = random.integers(5)
    if which == 0:  # wxyz taken for xyzw and the other way round
        return Fault(readings=_on((orientation,), lambda q: q[[1, 2, 3, 0]]))
    if which == 1:
        return Fault(readings=_on((orientation,), lambda q: q[[3, 0, 1, 2]]))
    if which == 2:
        return Fault(readings=_on((name,), _one_of(random, _VECTOR_FRAMES)))
    if which == 3:
        back = bool(random.integers(2))
        return Fault(readings=lambda v, tick: {**v, name: _turned(v[orientation], v[name], back=back)})
    return Fault(readings=_on((orientation,), lambda q: q * [1.0, -1.0, -1.0, -1.0]))


# --- the quadruped ---

_READ, _RATE, _TARGET = "joint_position", "joint_velocity", "joint_position_target"
_BOTH = (_READ, _RATE)


def _of_joints(random: Random, read: Change, asked: Change) -> Fault:
    """A change of what is read, of what is asked, or of both."""
    readings, commands = _on(_BOTH, read), _sent(_TARGET, asked)
    faults = [Fault(readings=readings), Fault(commands=commands), Fault(readings=readings, commands=commands)]
    return _one_of(random, faults)


def _joint_order(random: Random) -> Fault:
    order = _one_of(random, [_TO_GO2, _BY_LINK, np.argsort(_BY_LINK)])
    if random.random() < 0.4:
        order = np.arange(_JOINTS)
        a, b = random.choice(_JOINTS, 2, replace=False)
        order[[a, b]] = order[[b, a]]
    return _of_joints(random, lambda v: v[order], lambda v: v[np.argsort(order)])


def _joint_sign(random: Random) -> Fault:
    signs = _flip(int(random.integers(_JOINTS)), _JOINTS)
    return _of_joints(random, lambda v: v * signs, lambda v: v * signs)


def _joint_unit(random: Random) -> Fault:
    faults = [
        Fault(readings=_on((_RATE,), lambda v: v * DEGREES)),
        Fault(readings=_on((_READ,), lambda v: v * DEGREES)),
        Fault(readings=_on(("angular_velocity",), lambda v: v * DEGREES)),
        Fault(readings=_on((_RATE,), lambda v: v / DEGREES)),
        Fault(commands=_sent(_TARGET, lambda v: v / DEGREES)),
    ]
    return _one_of(random, faults)


def _joint_gains(random: Random) -> Fault:
    factor = _factor(random)
    return Fault(world={"values": {"stiffness": factor, "damping": factor}})


def _joint_scale(random: Random) -> Fault:
    from isthmus_sim.robots.quadruped.description import ROBOT

    factor, center = _factor(random), np.array(ROBOT.commands[0].standby)
    return Fault(commands=_sent(_TARGET, lambda v: center + factor * (v - center)))


def _weak_joint(random: Random) -> Fault:
    from isthmus_sim.robots.quadruped.description import JOINTS

    calf = _one_of(random, [name for name in JOINTS if "calf" in name])
    return Fault(world={"limits": {calf: float(random.uniform(1.5, 3.5))}})


def _dead_joint(random: Random) -> Fault:
    name, size = _one_of(random, [(_READ, 12), (_RATE, 12), ("angular_velocity", 3)])
    return Fault(readings=_frozen(name, int(random.integers(size)), int(random.integers(50, 300))))


QUADRUPED: dict[str, Draw] = {
    "joint order": _joint_order,
    "sign": _joint_sign,
    "offset": lambda random: _offset(random, _READ, 12),
    "unit": _joint_unit,
    "frame or quaternion order": lambda random: _frame("imu_orientation", ("angular_velocity",), random),
    "gains": _joint_gains,
    "delay": lambda random: Fault(commands=_late_commands(int(random.integers(3, 7)))),
    "action scale": _joint_scale,
    "history direction": lambda random: Fault(turned=True),
    "control period": lambda random: Fault(steps=_steps(random)),
    "saturated actuator": _weak_joint,
    "dead sensor": _dead_joint,
}


# --- the quadrotor ---

_ROTOR, _GYRO, _SPEED = "rotor_speed", "angular_velocity", "linear_velocity"


def _rotor_order(random: Random) -> Fault:
    order = np.arange(4)
    while (order == np.arange(4)).all():
        order = random.permutation(4)
    return Fault(commands=_sent(_ROTOR, lambda v: v[order]))


def _vector_sign(random: Random) -> Fault:
    signs, name = _flip(int(random.integers(3)), 3), _one_of(random, [_GYRO, _SPEED])
    return Fault(readings=_on((name,), lambda v: v * signs))


def _flying_unit(random: Random) -> Fault:
    faults = [
        Fault(readings=_on((_GYRO,), lambda v: v * DEGREES)),
        Fault(readings=_on((_GYRO,), lambda v: v / DEGREES)),
        Fault(readings=_on((_SPEED,), lambda v: v * 1e-3)),
        Fault(readings=_on(("position",), lambda v: v * 1e-3)),
        Fault(commands=_sent(_ROTOR, lambda v: v * math.pi / 30)),
    ]
    return _one_of(random, faults)


def _rotor_gains(random: Random) -> Fault:
    return Fault(world={"quickness": _factor(random)})


def _rotor_scale(random: Random) -> Fault:
    factor = _factor(random)
    return Fault(commands=_sent(_ROTOR, lambda v: np.clip(HOVER + factor * (v - HOVER), 0.0, 2272.0)))


def _weak_rotor(random: Random) -> Fault:
    most = np.full(4, 1e4)
    most[random.integers(4)] = random.uniform(1350.0, 1600.0)
    return Fault(commands=_sent(_ROTOR, lambda v: np.minimum(v, most)))


def _dead_element(random: Random) -> Fault:
    name = _one_of(random, [_GYRO, _SPEED, "position"])
    return Fault(readings=_frozen(name, int(random.integers(3)), int(random.integers(50, 300))))


QUADROTOR: dict[str, Draw] = {
    "joint order": _rotor_order,
    "sign": _vector_sign,
    "offset": lambda random: _offset(random, _GYRO, 3),
    "unit": _flying_unit,
    "frame or quaternion order": lambda random: _frame("orientation", (_GYRO, _SPEED), random),
    "gains": _rotor_gains,
    "delay": lambda random: Fault(commands=_late_commands(int(random.integers(3, 8)))),
    "action scale": _rotor_scale,
    "history direction": lambda random: Fault(turned=True),
    "control period": lambda random: Fault(steps=_steps(random)),
    "saturated actuator": _weak_rotor,
    "dead sensor": _dead_element,
}

FAULTS = {"quadruped": QUADRUPED, "quadrotor": QUADROTOR}
