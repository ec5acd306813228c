"""The parameters with which a simulation of all logs comes nearest to what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isthmus_sim.identify.levenberg_marquardt import Search, descend
from isthmus_sim.identify.log import Array, ServoLog
from isthmus_sim.identify.servo import LADDERS, UNKNOWNS, Bench, Friction, names

_SEARCH = Search(dampings=(0.01, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0), iterations=40, give_up=1e7, enough=1e-5)
_STEP = 1e-3  # of a derivative, in units of the parameter's scale
RUGGED: tuple[Friction, ...] = ("load", "load-stribeck")
_ROUNDS, _DRAWN, _CHOSEN, _SPREAD = 4, 64, 2, 0.2
_WORTH_IT = 0.01  # share of the cost that a round must win for another one


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """Parameters, and how the simulation's positions answer to them.

    Raises DivergedError where the simulation does not stay finite.
    """

    friction: Friction
    values: Array
    """(parameters,), in the order of `servo.names`."""
    fixed: frozenset[str]
    """Those that were known before."""
    residual: Array
    """(samples,) rad: simulated less measured."""
    jacobian: Array
    """(samples, free parameters), rad by unit of each."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parameters."""
        return names(self.friction)

    @property
    def cost(self) -> float:
        """Sum of the squared residuals, rad²."""
        return float(self.residual @ self.residual)

    @property
    def free(self) -> list[int]:
        """Places of those that were fitted."""
        return [i for i, name in enumerate(self.names) if name not in self.fixed]


def fit(
    logs: Sequence[ServoLog], friction: Friction, start: Fit | None = None, held: Mapping[str, float] | None = None
) -> Fit:
    """Fit a model by simulation error, up the ladder of the models that it contains, or on from another fit of it.

    The duty's gain is taken from the logs' duty where every log has one, and what is `held` as it is given. An arm
    that sticks makes the error rugged: from where a fit has come to rest, further ones start around it, until none
    ends lower.

    Raises:
        DivergedError: the simulation does not stay finite at the start.
    """
    known = {name: unknown.parameter.nominal[0] for name, unknown in UNKNOWNS.items()}
    gain = duty_gain(logs)
    told = {**({} if gain is None else {"duty_gain": gain}), **(held or {})}
    fixed = frozenset(told)
    for rung in LADDERS[friction] if start is None else (friction,):
        known |= {} if start is None else dict(zip(start.names, start.values, strict=True))
        known |= told
        bench = Bench(logs, rung)
        start = _descend(bench, rung, np.array([known[name] for name in names(rung)]), fixed)
        start = _around(bench, start) if rung in RUGGED else start
    assert start
    return start


def duty_gain(logs: Sequence[ServoLog]) -> float | None:
    """Duty by rad of error and unit of the firmware's gain, from the duties that were logged; None without them."""
    over = under = 0.0
    for log in logs:
        if log.duty is None:
            return None
        error = log.firmware_gain * (log.goal - log.position)
        chosen = log.powered & (np.abs(log.duty) > 0.03) & (np.abs(log.duty) < 0.97)
        over, under = over + (log.duty * error)[chosen].sum(), under + (error**2)[chosen].sum()
    return over / under if over > 0 else None


def scales(friction: Friction) -> Array:
    """What is much of each parameter, in its unit: its nominal value, or a part of its bounds."""
    parameters = [UNKNOWNS[name].parameter for name in names(friction)]
    return np.array([max(abs(p.nominal[0]), 0.02 * (p.maximum[0] - p.minimum[0])) for p in parameters])


def bounds(friction: Friction) -> tuple[Array, Array]:
    """Least and most of each parameter."""
    parameters = [UNKNOWNS[name].parameter for name in names(friction)]
    return np.array([p.minimum[0] for p in parameters]), np.array([p.maximum[0] for p in parameters])


def _descend(bench: Bench, friction: Friction, values: Array, fixed: frozenset[str]) -> Fit:
    return descend(
        values,
        _SEARCH,
        linearize=lambda at: _linearized(bench, friction, at, fixed),
        step=_step,
        costs=lambda tried: _costs(bench, tried),
    )


def _costs(bench: Bench, candidates: Array) -> Array:
    """(n,) rad²; not finite where a simulation is not."""
    return ((bench.positions(candidates) - bench.measured) ** 2).sum(axis=1)


def _around(bench: Bench, best: Fit) -> Fit:
    """The lowest of the fits that start from around the best one."""
    random = np.random.default_rng(0)
    for _ in range(_ROUNDS):
        drawn = _drawn_around(best, random)
        lowest = _costs(bench, drawn).argsort()[:_CHOSEN]
        fits = [_descend(bench, best.friction, drawn[i], best.fixed) for i in lowest]
        before, best = best, min((best, *fits), key=lambda each: each.cost)
        if best.cost > (1.0 - _WORTH_IT) * before.cost:
            break
    return best


def _drawn_around(best: Fit, random: np.random.Generator) -> Array:
    """(n, parameters) each some tenths larger or smaller than the best, in its own size or that of its scale."""
    size = np.maximum(np.abs(best.values), 0.3 * scales(best.friction))
    share = random.normal(0.0, _SPREAD, (_DRAWN, len(size)))
    share[:, [i for i in range(len(size)) if i not in best.free]] = 0.0
    return np.clip(best.values + size * share, *bounds(best.friction))


def _linearized(bench: Bench, friction: Friction, values: Array, fixed: frozenset[str]) -> Fit:
    free = [i for i, name in enumerate(bench.names) if name not in fixed]
    high = bounds(friction)[1]
    step = _STEP * scales(friction)
    step = np.where(values + step > high, -step, step)
    lanes = np.vstack([values, values + np.diag(step)[free]])
    positions = bench.positions(lanes)
    if not np.isfinite(positions).all():
        raise bench.diverged(positions[0])
    return Fit(
        friction=friction,
        values=values,
        fixed=fixed,
        residual=positions[0] - bench.measured,
        jacobian=((positions[1:] - positions[0]) / step[free, None]).T,
    )


def _step(current: Fit, damping: float) -> Array:
    """Where a damped Gauss-Newton step leads; parameters that are pushed against a bound stay there."""
    low, high = bounds(current.friction)
    scale = scales(current.friction)
    slopes = np.zeros_like(scale)
    slopes[current.free] = current.jacobian.T @ current.residual
    held = ((current.values <= low) & (slopes > 0)) | ((current.values >= high) & (slopes < 0))
    moving = [i for i in current.free if not held[i]]
    columns = current.jacobian[:, [current.free.index(i) for i in moving]] * scale[moving]
    normal = columns.T @ columns
    normal[np.diag_indices_from(normal)] *= 1.0 + damping
    normal[np.diag_indices_from(normal)] += 1e-12
    moved = current.values.copy()
    moved[moving] -= scale[moving] * np.linalg.solve(normal, columns.T @ current.residual)
    return np.clip(moved, low, high)
