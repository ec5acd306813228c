"""A servo on a pendulum as it is simulated: a motor by its duty, friction of a kind, and the arm; all logs at once.

The motor is voltage-controlled: firmware makes a duty of the position error, and the duty's share of the supply drives
the windings. Friction takes at most a budget that may depend on speed (Stribeck) and on what the gears carry, as in
Duclusaud, Passault, Padois, Ly, "Extended Friction Models for the Physics Simulation of Servo Actuators" (2024),
whose models M1 to M5 the kinds here are, with Tustin's exponential in place of a free exponent.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from isthmus_sim.identify.log import Array, LogError, ServoLog
from isthmus_sim.specs import Parameter, scalar

GRAVITY = 9.80665  # m/s²
TIMESTEP_S = 0.004
"""A fifteenth of the fastest period that a position loop of a servo has, some 100 rad/s."""

Beside = Callable[[Array, Array], Array]
"""Torque, N·m, by duty and speed, rad/s, (candidates, logs)."""
Friction = Literal["coulomb", "stribeck", "load", "load-stribeck"]
"""What the friction budget depends on: nothing but speed; also on standing still; on what the gears carry; on both."""


@dataclass(frozen=True)
class Unknown:
    """A parameter with the bounds of what is physical, and the motion that shows it."""

    parameter: Parameter
    motion: str


def _unknown(name: str, unit: str, nominal: float, low: float, high: float, motion: str) -> tuple[str, Unknown]:
    return name, Unknown(scalar(name, unit, nominal, (low, high), (low, high)), motion)


_LOADED = "hold the arm up at several angles, and let it creep up and down past them"
_COAST = "lift the arm, switch the motor off, and let it swing out"
UNKNOWNS: Mapping[str, Unknown] = dict(
    (
        _unknown("torque_constant", "N·m/A", 0.3, 0.02, 5.0, "move fast, at half a turn a second and more"),
        _unknown("resistance", "Ω", 4.0, 0.1, 100.0, "drive it into saturation against a heavy load, or hold one"),
        _unknown("armature", "kg·m²", 1.5e-3, 1e-5, 0.05, f"swing it fast, or {_COAST}"),
        _unknown("duty_gain", "1/rad", 3e-3, 1e-5, 1.0, "log the duty, or drive it into saturation and out again"),
        _unknown("duty_curve", "1", 0.0, -0.9, 3.0, "hold a load with small and with large duties"),
        _unknown("delay", "s", 0.008, 0.0, 0.06, "give goals with steps, or sines of 1 Hz and more"),
        _unknown("offset", "rad", 0.0, -0.2, 0.2, "move to both sides of where the arm hangs"),
        _unknown("coulomb", "N·m", 0.02, 0.0, 0.5, _COAST),
        _unknown("viscous", "N·m·s/rad", 0.005, 0.0, 0.5, _COAST),
        _unknown("stribeck", "N·m", 0.01, 0.0, 0.5, "reverse slowly, many times"),
        _unknown("stribeck_velocity", "rad/s", 0.5, 0.02, 5.0, "start from rest and reverse at several speeds"),
        _unknown("motor_load", "1", 0.15, 0.0, 0.9, _LOADED),
        _unknown("external_load", "1", 0.15, 0.0, 0.9, _LOADED),
        _unknown("motor_stribeck", "1", 0.02, 0.0, 1.0, _LOADED),
        _unknown("external_stribeck", "1", 0.1, 0.0, 1.0, _LOADED),
    )
)
"""All parameters by name; `duty_gain` is duty per rad of error and unit of the firmware's gain, and a duty d acts as
d · (1 + duty_curve · (1 - |d|))."""

_ALWAYS = (
    "torque_constant", "resistance", "armature", "duty_gain", "duty_curve", "delay", "offset", "coulomb", "viscous",
)  # fmt: skip
_LOAD, _STRIBECK = ("motor_load", "external_load"), ("stribeck", "stribeck_velocity")
TERMS: Mapping[Friction, tuple[str, ...]] = {
    "coulomb": (),
    "stribeck": _STRIBECK,
    "load": _LOAD,
    "load-stribeck": (*_LOAD, *_STRIBECK, "motor_stribeck", "external_stribeck"),
}
LADDERS: Mapping[Friction, tuple[Friction, ...]] = {
    "coulomb": ("coulomb",),
    "stribeck": ("coulomb", "stribeck"),
    "load": ("coulomb", "load"),
    "load-stribeck": ("coulomb", "load", "load-stribeck"),
}
"""Each model is fitted from the one before, which it contains: a fit of all at once may end in a worse place."""


class DivergedError(LogError):
    """A simulation left all bounds."""


def names(friction: Friction) -> tuple[str, ...]:
    """The parameters of a model, in the order in which values have them. Raises ValueError for an unknown kind."""
    if friction not in TERMS:
        raise ValueError(f"no friction model {friction!r}; there are: {', '.join(get_args(Friction))}")
    return (*_ALWAYS, *TERMS[friction])


class Bench:
    """Logs laid out for simulation: every candidate and every log, or window of one, is one lane of the same arrays.

    Args:
        logs: At least one.
        friction: The kind of model.
        window_s: Cuts logs into windows so long, each of which begins as it was measured; by default they are simulated
            as a whole, from rest.
    """

    def __init__(self, logs: Sequence[ServoLog], friction: Friction, window_s: float | None = None) -> None:
        self.names, self._windowed = names(friction), window_s is not None
        self._windows = [window for log in logs for window in _windows(log, window_s)]
        self.logs = logs = tuple(window.log for window in self._windows)
        begun = np.array([window.times[0] for window in self._windows])
        self._steps = max(int((window.times[-1] - window.times[0]) / TIMESTEP_S) for window in self._windows) + 2
        self._grid = begun + TIMESTEP_S * np.arange(self._steps)[:, None]
        held = [_held(grid, log.time_s, log.powered) for grid, log in zip(self._grid.T, logs, strict=True)]
        self._powered = np.stack(held, axis=1).astype(float)
        self._start, self._speed = (np.array([getattr(w, name) for w in self._windows]) for name in ("start", "speed"))
        self._inertia, self._torque, self._gain, self._supply = (
            np.array(values)
            for values in zip(
                *((log.mass * log.length**2, GRAVITY * log.mass * log.length, log.firmware_gain, log.supply)
                  for log in logs), strict=True
            )
        )  # fmt: skip

    def positions(self, values: Array, beside: Beside | None = None, starts: Array | float = 0.0) -> Array:
        """Positions (c, samples of all logs) rad that candidates (c, parameters) give, and on request what the motor
        gives beside its formula; NaN from where one diverges. They begin at rest, `starts` (c, logs) rad beside the
        first readings."""
        track = self._simulate({name: values[:, i, None] for i, name in enumerate(self.names)}, beside, starts)
        return np.concatenate([_read(track[..., i], window.times) for i, window in enumerate(self._windows)], axis=-1)

    @property
    def measured(self) -> Array:
        """(samples of all logs,) rad."""
        return np.concatenate([window.positions for window in self._windows])

    def split(self, samples: Array) -> list[Array]:
        """(..., samples of all logs) as one array a log."""
        return np.split(samples, np.cumsum(self.lengths)[:-1], axis=-1)

    @property
    def lengths(self) -> list[int]:
        """Samples of each log."""
        return [len(window.times) for window in self._windows]

    def diverged(self, positions: Array) -> DivergedError:
        """The error that names where positions (samples of all logs,) leave all bounds."""
        for window, track in zip(self._windows, self.split(positions), strict=True):
            lost = np.flatnonzero(~np.isfinite(track))
            if len(lost):
                after_s = window.times[lost[0]] - window.times[0]
                return DivergedError(f"{window.log.name}: the simulation diverges {after_s:.2f} s after its start")
        return DivergedError("the simulation diverges")

    def _goals(self, delays: Array) -> Array:
        """(steps, c, logs) rad: the goals, each candidate's delay (c,) later, between readings on a straight line."""
        lanes = list(zip(self._grid.T, self.logs, strict=True))
        late = [[np.interp(grid - delay, log.time_s, log.goal) for grid, log in lanes] for delay in delays]
        return np.ascontiguousarray(np.array(late).transpose(2, 0, 1))

    @property
    def noise(self) -> Array:
        """(logs,) rad, one standard deviation of the readings that whole logs begin with: what its neighbours do not
        tell of one (Gasser, Sroka and Jennen-Steinmetz, 1986). (0,) for windows: several readings tell their starts."""
        whole = [] if self._windowed else self.logs
        told = [np.sqrt(np.square(np.diff(log.position, 2)).mean() / 6.0) for log in whole]
        return np.maximum(np.array(told), _LEAST_NOISE)

    def _simulate(self, p: Mapping[str, Array], beside: Beside | None, starts: Array | float) -> Array:
        """(steps, c, logs) rad from parameters (c, 1), semi-implicit in time; friction stops, it never drives."""
        goals, gain = self._goals(p["delay"][:, 0]), self._gain * p["duty_gain"]
        inertia = self._inertia + p["armature"]
        position = np.tile(self._start, (len(gain), 1)) + starts
        velocity = np.tile(self._speed, (len(gain), 1))
        track = np.empty_like(goals)
        budget = _friction(p)
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(self._steps):
                track[step] = position
                duty = np.clip(gain * (goals[step] - position), -1.0, 1.0)
                motor = _motor(p, duty, velocity, self._supply)
                if beside is not None:
                    motor = motor + beside(duty, velocity)
                motor = self._powered[step] * motor
                load = -self._torque * np.sin(position + p["offset"])
                free = inertia / TIMESTEP_S * velocity + motor + load
                limit = budget(np.abs(velocity), motor, load)
                velocity = TIMESTEP_S / inertia * (free - np.clip(free, -limit, limit))
                position = position + TIMESTEP_S * velocity
        track[np.abs(track) > _FAR] = np.nan
        return track


_FAR = 1e3  # rad
_LEAST_NOISE = 1e-6  # rad, of logs that were simulated
_SMOOTHED = 4
"""Readings on either side by which position and speed at the start of a window are told."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Window:
    log: ServoLog
    times: Array
    positions: Array
    start: float
    """rad, and rad/s: where it begins, and how fast."""
    speed: float


def _windows(log: ServoLog, length_s: float | None) -> list[_Window]:
    """The log as a whole, or in windows."""
    whole = _Window(log=log, times=log.time_s, positions=log.position, start=float(log.position[0]), speed=0.0)
    if length_s is None:
        return [whole]
    ends = np.unique(np.searchsorted(log.time_s, np.arange(log.time_s[0], log.time_s[-1], length_s)))
    found = []
    for first, last in itertools.pairwise([*ends.tolist(), len(log.time_s)]):
        near = slice(max(first - _SMOOTHED, 0), first + _SMOOTHED + 1)
        speed, start = np.polyfit(log.time_s[near] - log.time_s[first], log.position[near], 1)
        times, positions = log.time_s[first:last], log.position[first:last]
        found.append(_Window(log=log, times=times, positions=positions, start=float(start), speed=float(speed)))
    return found


def _motor(p: Mapping[str, Array], duty: Array, velocity: Array, supply: Array) -> Array:
    """Torque, N·m, of the windings at a duty and a speed, rad/s: the supply's share against the back-EMF."""
    volts = supply * duty * (1.0 + p["duty_curve"] * (1.0 - np.abs(duty)))
    return p["torque_constant"] / p["resistance"] * (volts - p["torque_constant"] * velocity)


def _friction(p: Mapping[str, Array]):
    """The budget, N·m, as a function of speed rad/s ≥ 0, motor torque and load torque, N·m."""

    def budget(speed: Array, motor: Array, load: Array) -> Array:
        limit = p["coulomb"] + p["viscous"] * speed
        if "motor_load" in p:
            limit = limit + np.abs(p["motor_load"] * motor - p["external_load"] * load)
        if "stribeck" in p:
            still = p["stribeck"]
            if "motor_stribeck" in p:
                still = still + np.abs(p["motor_stribeck"] * motor - p["external_stribeck"] * load)
            limit = limit + still * np.exp(-speed / p["stribeck_velocity"])
        return limit

    return budget


def _held(grid: Array, times: Array, values: Array) -> Array:
    """The newest of values (n,) at each time of the grid."""
    return values[np.clip(np.searchsorted(times, grid, side="right") - 1, 0, None)]


def _read(track: Array, times: Array) -> Array:
    """(c, n) of a track (steps, c) at times (n,), which it begins with."""
    at = (times - times[0]) / TIMESTEP_S
    before = at.astype(int)
    share = (at - before)[:, None]
    return ((1.0 - share) * track[before] + share * track[before + 1]).T
