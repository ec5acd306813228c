"""A residual on top of an identified motor, learnt by the simulation error of the same logs and silent where they are.

The base is the servo as `PDMotors` says it: Coulomb and viscous friction, and a duty that acts as its share. What the
logs show beside that, the bridge's curve and friction that depends on load, is what the residual has to make up for.

Its weights are found by Levenberg-Marquardt on positions of whole logs, each candidate a lane of the same arrays, with
a normal prior on each: the misfit counts as many times as the base's residuals are independent (`Knowledge`), so that
weights which the logs do not ask for stay small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from isthmus_sim.identify.fit import Fit, fit
from isthmus_sim.identify.identified import as_drive
from isthmus_sim.identify.levenberg_marquardt import Search, descend
from isthmus_sim.identify.log import Array, ServoLog
from isthmus_sim.identify.servo import Bench, Beside, Friction
from isthmus_sim.identify.uncertainty import Knowledge
from isthmus_sim.residual import Residual, familiar, known_cells, network

BASE: Friction = "coulomb"
_UNITS = 6
_SCALE = np.array([5.0, 5.0, 1.0, 0.1])
"""Standard deviations of the weights before anything is learnt: u, v, b, a."""
_LEAST = 3
"""Readings that make a cell known."""
_SMOOTHED = 4
"""Readings on either side by which a log's speed is told."""
_STEP = 1e-4  # of a derivative, in deviations of a weight
_SEARCH = Search(dampings=(0.03, 0.3, 3.0, 30.0), iterations=40, give_up=1e9, enough=1e-3)


def fit_motors(logs: Sequence[ServoLog]) -> Fit:
    """The servo as `PDMotors` has it. Raises DivergedError."""
    return fit(logs, BASE, held={"duty_curve": 0.0})


def learn(logs: Sequence[ServoLog], known: Knowledge, seed: int = 0) -> Residual:
    """The residual of a base that was fitted to these logs. Raises DivergedError."""
    bench, base = Bench(logs, BASE), known.fit
    shown = [inputs(log, base) for log in logs]
    asked, speed = (np.concatenate([each[way] for each in shown]) for way in (0, 1))
    cells = known_cells(asked, speed, _LEAST)
    motor, supply = _motor(logs, base), np.array([log.supply for log in logs])
    empty = Residual(units=(), known=cells, motor=motor, logs=tuple(log.name for log in logs))
    start = np.random.default_rng(seed).normal(size=(_UNITS, 4)) * (1.0, 1.0, 1.0, 0.0)
    weight = 1.0 / (known.sigma * np.sqrt(known.tau))

    def misfit(z: Array) -> Array:
        """(c, residuals and weights) of candidates (c, weights), in units of their deviations."""
        units = z.reshape(len(z), 1, _UNITS, 4) * _SCALE
        beside = _beside(base, supply, empty.grid, units)
        apart = bench.positions(np.tile(base.values, (len(z), 1)), beside) - bench.measured
        return np.concatenate((weight * apart, z), axis=1)

    found = _descend(misfit, start.ravel()).reshape(-1, 4) * _SCALE
    return replace(empty, units=tuple((float(u), float(v), float(b), float(a)) for u, v, b, a in found))


def predicted(logs: Sequence[ServoLog], base: Fit, residual: Residual) -> tuple[Array, float]:
    """Positions (samples,) rad of the base with its residual, and the share of the readings with a motor that is on in
    which the residual was known. Raises DivergedError."""
    bench, supply = Bench(logs, BASE), np.array([log.supply for log in logs])
    units = np.array(residual.units).reshape(1, 1, -1, 4)
    positions = bench.positions(base.values[None], _beside(base, supply, residual.grid, units))[0]
    if not np.isfinite(positions).all():
        raise bench.diverged(positions)
    shares = np.concatenate([familiar(residual.grid, *inputs(log, base))[log.powered] for log in logs])
    return positions, float((shares > 0.0).mean())


def _motor(logs: Sequence[ServoLog], base: Fit) -> dict[str, float]:
    """The base as a drive, at the largest firmware gain of the logs and their usual supply."""
    gain, supply = max(log.firmware_gain for log in logs), float(np.median([log.supply for log in logs]))
    return {name: float(value[0]) for name, (_, value) in as_drive(base.names, base.values[None], gain, supply).items()}


def inputs(log: ServoLog, base: Fit) -> tuple[Array, Array]:
    """What a residual would have been given in a log: (n,) share of the stall torque that the position error asks for,
    and speed by no-load speed; at readings while the motor was off 0 and a speed beyond all, which is never known."""
    p = dict(zip(base.names, base.values, strict=True))
    goal = np.interp(log.time_s - p["delay"], log.time_s, log.goal)
    asked = np.clip(log.firmware_gain * p["duty_gain"] * (goal - log.position), -1.0, 1.0)
    last = len(log.time_s) - 1
    before, after = (np.clip(np.arange(last + 1) + k, 0, last) for k in (-_SMOOTHED, _SMOOTHED))
    speed = (log.position[after] - log.position[before]) / (log.time_s[after] - log.time_s[before])
    share = speed * p["torque_constant"] / log.supply
    return np.where(log.powered, asked, 0.0), np.where(log.powered, share, np.inf)


def _beside(base: Fit, supply: Array, grid: Array, units: Array) -> Beside:
    """What networks with units (c, 1, k, 4) give in logs with these supplies (logs,) V."""
    p = dict(zip(base.names, base.values, strict=True))
    stall = p["torque_constant"] / p["resistance"] * supply

    def beside(duty: Array, velocity: Array) -> Array:
        speed = velocity * p["torque_constant"] / supply
        return stall * familiar(grid, duty, speed) * network(units, duty, speed)

    return beside


@dataclass(frozen=True, kw_only=True, eq=False)
class _Place:
    """Residuals (r,) and their slopes (r, weights) at weights z (weights,)."""

    z: Array
    residuals: Array
    slopes: Array

    @property
    def cost(self) -> float:
        return float(self.residuals @ self.residuals)

    def step(self, damping: float) -> Array:
        normal = self.slopes.T @ self.slopes + damping * np.eye(len(self.z))
        return self.z - np.linalg.solve(normal, self.slopes.T @ self.residuals)


def _descend(misfit: Callable[[Array], Array], start: Array) -> Array:
    def linearize(z: Array) -> _Place:
        rows = misfit(np.vstack((z, z + _STEP * np.eye(len(z)))))
        return _Place(z=z, residuals=rows[0], slopes=(rows[1:] - rows[0]).T / _STEP)

    def costs(candidates: Array) -> Array:
        return (misfit(candidates) ** 2).sum(axis=1)

    return descend(start, _SEARCH, linearize=linearize, step=_Place.step, costs=costs).z
