"""What may be wrong, each as the change that would undo it in a log: the one after which the log fits is the cause."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.mismatch.motion import Array, Joints, Motion, Roles, roles
from isthmus_deploy.mismatch.world import in_world, product

KINDS = (
    "joint order", "sign", "offset", "unit", "frame or quaternion order", "gains", "delay", "action scale",
    "history direction", "control period", "saturated actuator", "dead sensor",
)  # fmt: skip

_UNITS = {
    "degrees for radians": 180 / math.pi, "radians for degrees": math.pi / 180, "turns for radians": 1 / (2 * math.pi),
    "rpm for rad/s": 30 / math.pi, "rad/s for rpm": math.pi / 30, "milli": 1e3, "kilo": 1e-3, "g for m/s²": 1 / 9.81,
}  # fmt: skip
_OFFSETS = (-0.4, -0.28, -0.2, -0.14, -0.1, 0.1, 0.14, 0.2, 0.28, 0.4)  # rad or rad/s
_GAINS = (0.25, 0.35, 0.5, 0.65, 1.5, 2.0, 2.8, 4.0)
_LAGS_S = (0.03, 0.06, 0.1, 0.2)
_SCALES = (0.25, 0.35, 0.5, 0.65, 1.5, 2.0, 2.8, 4.0)
_DELAYS = (1, 2, 3, 4, 6, 8)  # ticks
_SHARES = (0.1, 0.15, 0.22, 0.33, 0.5, 0.7)  # of what nine tenths of the commands ask for at most


@dataclass(frozen=True, kw_only=True, eq=False)
class Suspect:
    """Something that may be wrong."""

    kind: str
    words: str
    undo: Callable[[Motion], Motion]
    """The log as it would be without it."""


def suspects(contract: Contract) -> list[Suspect]:
    """All that a log of this contract's robot is tried for."""
    known = roles(contract)
    found: list[Suspect] = []
    for joints in known.joints:
        stiffness = np.array([contract.joints[name].stiffness if name in contract.joints else 0.0 for name in joints.names])
        damping = np.array([contract.joints[name].damping if name in contract.joints else 0.0 for name in joints.names])
        lead = np.divide(damping, stiffness, out=np.zeros_like(damping), where=stiffness > 0)
        center = next(np.array(c.standby, float) for c in contract.commands if c.name == joints.command)
        found += [*_orders(joints), *_signs(joints), *_offsets(joints), *_joint_gains(joints, lead)]
        found += [*_scales(joints.command, center), *_weak_joints(joints, lead), *_units(joints.command, command=True)]
        found += _delays(joints.command)
    for name in known.free:
        command = next(command for command in contract.commands if command.name == name)
        found += [*_free_orders(name, tuple(command.order)), *_scales(name, None), *_units(name, command=True)]
        found += [*_slow(name, contract.control_period_s), *_delays(name), *_capped(name, command.order, command.maximum)]
    found += [*_vectors(known), *_quaternions(known)]
    found += _biases(known.turning) if known.turning else []
    for signal in contract.signals:
        if signal.max_age_s is not None and signal.dtype != "uint8" and signal.unit != "1":
            found += _units(signal.name, command=False)
    found += _late(contract)
    return found


# --- orders and signs ---


def _orders(joints: Joints) -> Iterator[Suspect]:
    ways = {
        "readings": lambda m, order: _reordered(m, _readings(joints), (), order),
        "commands": lambda m, order: _reordered(m, (), (joints.command,), order),
        "readings and commands": lambda m, order: _reordered(m, _readings(joints), (joints.command,), order),
    }
    for order, words in _permutations(joints.names):
        for way, change in ways.items():
            yield Suspect(kind="joint order", words=f"{words} in the {way}", undo=_with(change, order))


def _with(change: Callable[[Motion, Array], Motion], order: Array) -> Callable[[Motion], Motion]:
    return lambda motion: change(motion, order)


def _readings(joints: Joints) -> tuple[str, ...]:
    return tuple(name for name in (joints.position, joints.rate) if name)


def _reordered(motion: Motion, signals: tuple[str, ...], commands: tuple[str, ...], order: Array) -> Motion:
    inverse = np.argsort(order)
    motion = motion.with_signals(**{name: motion.signals[name][:, order] for name in signals})
    return motion.with_commands(**{name: motion.commands[name][:, inverse] for name in commands})


def _permutations(names: tuple[str, ...]) -> Iterator[tuple[Array, str]]:
    """Two swapped, groups of equal size moved (legs), and groups for rows (all hips first)."""
    n = len(names)
    for a, b in itertools.combinations(range(n), 2):
        order = np.arange(n)
        order[[a, b]] = order[[b, a]]
        yield order, f"{names[a]} and {names[b]} are swapped"
    for groups in (size for size in (2, 3, 4) if n % size == 0 and n > size):
        blocks = np.arange(n).reshape(groups, -1)
        for moved in itertools.permutations(range(groups)):
            if moved != tuple(range(groups)):
                yield blocks[list(moved)].ravel(), f"its {groups} groups come in the order {', '.join(map(str, moved))}"
        yield blocks.T.ravel(), f"{groups} groups are given joint by joint"
        yield np.argsort(blocks.T.ravel()), f"joint by joint is given as {groups} groups"


def _free_orders(name: str, names: tuple[str, ...]) -> Iterator[Suspect]:
    if len(names) > 5:
        return
    for moved in itertools.permutations(range(len(names))):
        if moved != tuple(range(len(names))):
            words = f"{name} goes to {', '.join(names[i] for i in moved)} instead of {', '.join(names)}"
            undo = _with(lambda m, order: _reordered(m, (), (name,), order), np.array(moved))
            yield Suspect(kind="joint order", words=words, undo=undo)


def _signs(joints: Joints) -> Iterator[Suspect]:
    ways = {"reading": (_readings(joints), ()), "command": ((), (joints.command,)),
            "reading and command": (_readings(joints), (joints.command,))}  # fmt: skip
    for i, element in enumerate(joints.names):
        for way, (signals, commands) in ways.items():
            yield Suspect(
                kind="sign", words=f"{element} turns the other way in the {way}", undo=_flipped(i, signals, commands)
            )


def _flipped(i: int, signals: tuple[str, ...], commands: tuple[str, ...]) -> Callable[[Motion], Motion]:
    def undo(motion: Motion) -> Motion:
        motion = motion.with_signals(**{name: _negated(motion.signals[name], i) for name in signals})
        return motion.with_commands(**{name: _negated(motion.commands[name], i) for name in commands})

    return undo


def _negated(values: Array, i: int) -> Array:
    values = values.copy()
    values[:, i] *= -1.0
    return values


# --- sizes ---


def _offsets(joints: Joints) -> Iterator[Suspect]:
    for i, element in enumerate(joints.names):
        for offset in _OFFSETS:
            change = offset * np.eye(len(joints.names))[i]
            yield Suspect(
                kind="offset",
                words=f"{element} reads about {offset:+g} too much",
                undo=_moved(joints.position, -change),
            )


def _biases(turning: str) -> Iterator[Suspect]:
    for i, axis in enumerate("xyz"):
        for offset in _OFFSETS:
            words = f"{turning} about {axis} reads about {offset:+g} rad/s too much"
            yield Suspect(kind="offset", words=words, undo=_moved(turning, -offset * np.eye(3)[i]))


def _moved(name: str, change: Array) -> Callable[[Motion], Motion]:
    return lambda motion: motion.with_signals(**{name: motion.signals[name] + change})


def _units(name: str, *, command: bool) -> Iterator[Suspect]:
    for words, factor in _UNITS.items():
        said = f"{name} is in {words}" if not command else f"{name} is taken as {words}"
        yield Suspect(kind="unit", words=said, undo=_times(name, factor if command else 1.0 / factor, command=command))


def _times(name: str, factor: float, *, command: bool) -> Callable[[Motion], Motion]:
    if command:
        return lambda motion: motion.with_commands(**{name: motion.commands[name] * factor})
    return lambda motion: motion.with_signals(**{name: motion.signals[name] * factor})


def _scales(name: str, center: Array | None) -> Iterator[Suspect]:
    for factor in _SCALES:
        yield Suspect(kind="action scale", words=f"{name} acts about {factor:g} times as far", undo=_spread(name, center, factor))


def _spread(name: str, center: Array | None, factor: float) -> Callable[[Motion], Motion]:
    def undo(motion: Motion) -> Motion:
        values = motion.commands[name]
        middle = np.median(values, axis=0).mean() if center is None else center
        return motion.with_commands(**{name: middle + factor * (values - middle)})

    return undo


# --- drives ---


def _joint_gains(joints: Joints, lead: Array) -> Iterator[Suspect]:
    """A torque f (k (target - q) - d v) is that of the trained gains for another target."""

    def undone(factor: float) -> Callable[[Motion], Motion]:
        def undo(motion: Motion) -> Motion:
            position, target = motion.signals[joints.position], motion.commands[joints.command]
            slowed = (factor - 1.0) * lead * motion.signals[joints.rate] if joints.rate else 0.0
            return motion.with_commands(**{joints.command: position + factor * (target - position) - slowed})

        return undo

    for factor in _GAINS:
        yield Suspect(kind="gains", words=f"the joints are about {factor:g} times as stiff", undo=undone(factor))


def _slow(name: str, period_s: float) -> Iterator[Suspect]:
    def undone(time_s: float) -> Callable[[Motion], Motion]:
        return lambda motion: motion.with_commands(**{name: lagged(motion.commands[name], period_s / time_s)})

    for time_s in _LAGS_S:
        words = f"{name} is reached about {time_s:g} s later, as by a slower loop"
        yield Suspect(kind="gains", words=words, undo=undone(time_s))


def lagged(values: Array, rate: float) -> Array:
    """A first-order lag of values (n, k), whose share of the gap is closed in each tick."""
    share = -math.expm1(-rate)
    result = values.copy()
    for tick in range(1, len(values)):
        result[tick] = result[tick - 1] + share * (values[tick] - result[tick - 1])
    return result


def _delays(name: str) -> Iterator[Suspect]:
    for ticks in _DELAYS:
        yield Suspect(
            kind="delay", words=f"{name} acts about {ticks} control periods late",
            undo=lambda motion, ticks=ticks: motion.with_commands(**{name: _shifted(motion.commands[name], ticks)}),
        )  # fmt: skip


def _late(contract: Contract) -> Iterator[Suspect]:
    sensors = dict.fromkeys(s.name for s in contract.signals if s.max_age_s is not None and s.dtype != "uint8")
    for name in sensors:
        for ticks in _DELAYS:
            yield Suspect(
                kind="delay", words=f"{name} is about {ticks} control periods old",
                undo=lambda m, n=name, t=ticks: m.with_signals(**{n: _shifted(m.signals[n], -t)}),
            )  # fmt: skip


def _shifted(values: Array, ticks: int) -> Array:
    """(n, k) later by `ticks`, or earlier; the ends are held."""
    return values[np.clip(np.arange(len(values)) - ticks, 0, len(values) - 1)]


def _weak_joints(joints: Joints, lead: Array) -> Iterator[Suspect]:
    def undone(i: int, share: float) -> Callable[[Motion], Motion]:
        def undo(motion: Motion) -> Motion:
            position, target = motion.signals[joints.position][:, i], motion.commands[joints.command][:, i]
            slowed = lead[i] * motion.signals[joints.rate][:, i] if joints.rate else 0.0
            pull = target - position - slowed
            most = share * np.quantile(np.abs(pull), 0.9)
            values = motion.commands[joints.command].copy()
            values[:, i] = position + slowed + np.clip(pull, -most, most)
            return motion.with_commands(**{joints.command: values})

        return undo

    for i, element in enumerate(joints.names):
        for share in _SHARES:
            words = f"{element} gives no more than about {share:.0%} of what it is asked for"
            yield Suspect(kind="saturated actuator", words=words, undo=undone(i, share))


def _capped(name: str, order: tuple[str, ...], maximum: tuple[float, ...]) -> Iterator[Suspect]:
    def undone(i: int, most: float) -> Callable[[Motion], Motion]:
        def undo(motion: Motion) -> Motion:
            values = motion.commands[name].copy()
            values[:, i] = np.minimum(values[:, i], most)
            return motion.with_commands(**{name: values})

        return undo

    for i, element in enumerate(order):
        for share in (0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85):
            words = f"{name} of {element} reaches no more than about {share:.0%} of its range"
            yield Suspect(kind="saturated actuator", words=words, undo=undone(i, share * maximum[i]))


# --- frames ---


def _vectors(known: Roles) -> Iterator[Suspect]:
    for name in filter(None, (known.turning, known.velocity)):
        for order in itertools.permutations(range(3)):
            for signs in itertools.product((1.0, -1.0), repeat=3):
                if order == (0, 1, 2) and signs == (1.0, 1.0, 1.0):
                    continue
                turned = f"({', '.join('-'[: s < 0] + 'xyz'[i] for i, s in zip(order, signs, strict=True))})"
                one = order == (0, 1, 2) and sum(signs) == 1.0
                yield Suspect(
                    kind="sign" if one else "frame or quaternion order", words=f"{name} is {turned}",
                    undo=_axes(name, np.array(order), np.array(signs)),
                )  # fmt: skip
        if known.orientation:
            yield Suspect(
                kind="frame or quaternion order", words=f"{name} is in the world's frame",
                undo=_into_body(name, known.orientation, back=False),
            )  # fmt: skip
            yield Suspect(
                kind="frame or quaternion order", words=f"{name} was turned into the body once too often",
                undo=_into_body(name, known.orientation, back=True),
            )  # fmt: skip


def _axes(name: str, order: Array, signs: Array) -> Callable[[Motion], Motion]:
    """The reading is signs * true[order]."""
    return lambda motion: motion.with_signals(**{name: (motion.signals[name] * signs)[:, np.argsort(order)]})


def _into_body(name: str, orientation: str, *, back: bool) -> Callable[[Motion], Motion]:
    def undo(motion: Motion) -> Motion:
        turn = motion.signals[orientation] * (1.0 if back else np.array([1.0, -1.0, -1.0, -1.0]))
        return motion.with_signals(**{name: in_world(turn, motion.signals[name])})

    return undo


_MOUNTS = {
    "90° to the left": (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)),
    "90° to the right": (math.sqrt(0.5), 0.0, 0.0, -math.sqrt(0.5)),
    "backwards": (0.0, 0.0, 0.0, 1.0),
    "upside down about x": (0.0, 1.0, 0.0, 0.0),
    "upside down about y": (0.0, 0.0, 1.0, 0.0),
}


def _quaternions(known: Roles) -> Iterator[Suspect]:
    name = known.orientation
    if name is None:
        return
    ways: dict[str, Callable[[Array], Array]] = {
        "xyzw, read as wxyz": lambda q: q[:, [3, 0, 1, 2]],
        "wxyz, turned into wxyz once too often": lambda q: q[:, [1, 2, 3, 0]],
        "body_from_world": lambda q: q * [1.0, -1.0, -1.0, -1.0],
    }
    for words, mount in _MOUNTS.items():
        ways[f"of a sensor mounted {words}"] = lambda q, m=mount: product(q, np.tile(m, (len(q), 1)) * [1, -1, -1, -1])
    for words, change in ways.items():
        yield Suspect(
            kind="frame or quaternion order", words=f"{name} is {words}",
            undo=lambda motion, change=change: motion.with_signals(**{name: change(motion.signals[name])}),
        )  # fmt: skip

