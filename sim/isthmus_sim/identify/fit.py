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
_NOISE = 1.5  # times its sum of squares
WINDOW_S = 0.25
"""Length of the windows from which a fit begins."""
START_REACH = 3.0
"""Standard deviations of a reading by which a log may begin elsewhere than the first one says."""
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
    starts: Array
    """(logs,) rad: where each log began, beside its first reading, which is as noisy as the others."""
    residual: Array
    """(samples,) rad: simulated less measured."""
    jacobian: Array
    """(samples, free parameters and starts), rad by unit of each."""

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

    The duty's gain is taken from the logs' duty where every log has one, and what is `held` as it is given. Where each
    log began is fitted too: an arm that sticks remembers it. Such an arm makes the error of whole logs rugged, and not
    that of short windows, which begin as they were measured (multiple shooting: Ribeiro et al., "On the smoothness of
    nonlinear system identification", 2020). So windows are fitted first, and whole logs from there. Where more is left
    of these than noise, the model is wrong, and further fits start around where one has come to rest, until none ends
    lower.

    Raises:
        DivergedError: the simulation does not stay finite at the start.
    """
    gain = duty_gain(logs)
    told = {**({} if gain is None else {"duty_gain": gain}), **(held or {})}
    fixed = frozenset(told)
    known = {name: unknown.parameter.nominal[0] for name, unknown in UNKNOWNS.items()}

    def values(rung: Friction) -> Array:
        last = {} if start is None else dict(zip(start.names, start.values, strict=True))
        return np.array([(known | last | told)[name] for name in names(rung)])

    for rung in LADDERS[friction] if start is None else (friction,):
        start = _descend(Bench(logs, rung, WINDOW_S), rung, values(rung), fixed)
    bench = Bench(logs, friction)
    best = _descend(bench, friction, values(friction), fixed)
    noise = float(np.square(bench.noise) @ bench.lengths)
    return _around(bench, best) if friction in RUGGED and best.cost > _NOISE * noise else best


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


def _descend(
    bench: Bench, friction: Friction, values: Array, fixed: frozenset[str], starts: Array | None = None
) -> Fit:  # fmt: skip
    """Parameters and starts go down together: their derivatives are one simulation of many lanes."""
    starts = np.zeros_like(bench.noise) if starts is None else starts
    return descend(
        np.append(values, starts),
        _SEARCH,
        linearize=lambda at: _linearized(bench, friction, at, fixed),
        step=lambda fit, damping: _step(bench, fit, damping),
        costs=lambda tried: _costs(bench, tried),
    )


def _around(bench: Bench, best: Fit) -> Fit:
    """The lowest of the fits that start from around the best one."""
    random = np.random.default_rng(0)
    for _ in range(_ROUNDS):
        drawn = _drawn_around(best, random)
        costs = _costs(bench, drawn)
        chosen = drawn[costs.argsort()[:_CHOSEN], : len(best.values)]
        fits = [_descend(bench, best.friction, values, best.fixed, best.starts) for values in chosen]
        before, best = best, min((best, *fits), key=lambda each: each.cost)
        if best.cost > (1.0 - _WORTH_IT) * before.cost:
            break
    return best


def _drawn_around(best: Fit, random: np.random.Generator) -> Array:
    """(n, parameters and starts): each parameter some tenths larger or smaller than the best, in its own size or that
    of its scale."""
    size = np.maximum(np.abs(best.values), 0.3 * scales(best.friction))
    share = random.normal(0.0, _SPREAD, (_DRAWN, len(size)))
    share[:, [i for i in range(len(size)) if i not in best.free]] = 0.0
    drawn = np.clip(best.values + size * share, *bounds(best.friction))
    return np.hstack([drawn, np.tile(best.starts, (_DRAWN, 1))])


def residuals(bench: Bench, places: Array) -> Array:
    """(c, samples) of candidates (c, parameters and starts)."""
    values, starts = np.split(places, [len(bench.names)], axis=1)
    return bench.positions(values, starts=starts if starts.size else 0.0) - bench.measured


def _costs(bench: Bench, places: Array) -> Array:
    costs = (residuals(bench, places) ** 2).sum(axis=1)
    return np.where(np.isfinite(costs), costs, np.inf)


def limits(bench: Bench, friction: Friction) -> tuple[Array, Array, Array]:
    """Least, most, and what is much of each parameter and start."""
    low, high = bounds(friction)
    reach = START_REACH * bench.noise
    return np.append(low, -reach), np.append(high, reach), np.append(scales(friction), bench.noise)


def _linearized(bench: Bench, friction: Friction, place: Array, fixed: frozenset[str]) -> Fit:
    count = len(bench.names)
    free = [i for i, name in enumerate(bench.names) if name not in fixed]
    _, high, scale = limits(bench, friction)
    step = _STEP * scale
    step = np.where(place + step > high, -step, step)
    apart = np.diag(step)
    together = apart[count:].sum(axis=0)  # one lane for all starts: each moves its own log
    made = residuals(bench, np.vstack([place, place + apart[free], place + together]))
    if not np.isfinite(made).all():
        raise bench.diverged(made[0])
    moved = made[1:] - made[0]
    own = np.repeat(np.eye(len(bench.noise), len(bench.logs)), bench.lengths, axis=1)
    return Fit(
        friction=friction,
        values=place[:count],
        fixed=fixed,
        starts=place[count:],
        residual=made[0],
        jacobian=(np.vstack([moved[:-1], own * moved[-1]]) / step[[*free, *range(count, len(step))], None]).T,
    )


def _step(bench: Bench, current: Fit, damping: float) -> Array:
    """Where a damped Gauss-Newton step leads; parameters that are pushed against a bound stay there."""
    moved = np.append(current.values, current.starts)
    low, high, scale = limits(bench, current.friction)
    fitted = np.array([*current.free, *range(len(current.values), len(moved))])
    slopes = current.jacobian.T @ current.residual
    held = ((moved <= low)[fitted] & (slopes > 0)) | ((moved >= high)[fitted] & (slopes < 0))
    moving = fitted[~held]
    columns = current.jacobian[:, ~held] * scale[moving]
    normal = columns.T @ columns
    normal[np.diag_indices_from(normal)] *= 1.0 + damping
    normal[np.diag_indices_from(normal)] += 1e-12
    moved[moving] -= scale[moving] * np.linalg.solve(normal, columns.T @ current.residual)
    return np.clip(moved, low, high)
