"""`make bench-identify`: a real servo in logs that were kept back, and servos that are known found again.

The real logs are Rhoban's of an XL330 (BAM, Apache-2.0), which do not belong to this repository: name their folder.
Each fold keeps back three of them, one of each firmware gain and of three trajectories; all that is learnt, the band
as well, is learnt of the others. "Beside it" are the refits of such servos that their authors have published.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, parse, report

import numpy as np

from isthmus_sim.identify.command import read_logs
from isthmus_sim.identify.fit import Fit, fit
from isthmus_sim.identify.learned import BASE, fit_motors, learn, predicted
from isthmus_sim.identify.log import ServoLog
from isthmus_sim.identify.made import GOALS, made_log
from isthmus_sim.identify.servo import UNKNOWNS, Bench, Friction, names
from isthmus_sim.identify.uncertainty import NORMAL_95, Knowledge, band, know

KINDS: tuple[Friction, ...] = ("coulomb", "load-stribeck")
"""The plainest model and the one that is judged."""
FOLDS = 4
GAINS = (100.0, 200.0, 800.0)


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Held-out error and coverage of identified servos."""

    logs: Path = Path("../shared/data/bam_xl330")
    """Folder of the real logs; rows of them are left out where it is missing."""
    draws: int = 20
    """Known servos that are looked for."""


QUICK = Options(draws=1)


def main() -> int:
    """Print the table; 1 where a must is missed."""
    options = parse(Options(), QUICK)
    rows: list[Row] = []
    if options.logs.is_dir():
        rows += _real(read_logs([options.logs]), options.quick)
    else:
        print(f"bench-identify: there are no real logs in {options.logs}; name them with --logs", file=sys.stderr)
    return report("identify", [*rows, *_known(options)], options)


# --- real logs ---


def _folds(logs: list[ServoLog]) -> list[tuple[list[ServoLog], list[ServoLog]]]:
    """Learnt and kept back. The logs are by gain, then trajectory: a fold keeps back a diagonal."""
    size = len(logs) // len({log.firmware_gain for log in logs})
    fold_of = [(i % size + i // size) % FOLDS for i in range(len(logs))]
    return [
        ([log for log, own in zip(logs, fold_of, strict=True) if own != fold],
         [log for log, own in zip(logs, fold_of, strict=True) if own == fold])
        for fold in range(FOLDS)
    ]  # fmt: skip


def _real(logs: list[ServoLog], quick: bool) -> list[Row]:
    rows = []
    folds = _folds(logs)[: 1 if quick else FOLDS]
    for kind in KINDS[:1] if quick else KINDS:
        errors, inside, took = [], [], []
        for learnt, kept in folds:
            begun = time.perf_counter()
            known = know(fit(learnt, kind), Bench(learnt, kind))
            took.append(time.perf_counter() - begun)
            bench = Bench(kept, kind)
            predicted, half = band(known, bench)
            errors.append(np.abs(predicted - bench.measured))
            inside.append(errors[-1] <= half)
        last = kind == KINDS[-1]
        each = [1e3 * float(error.mean()) for error in errors]
        everything = np.concatenate(errors)
        rows += [
            Row(
                metric=f"{kind}: mean error of logs kept back", value=1e3 * float(everything.mean()), unit="mrad",
                spread=(min(each), max(each)), seeds=len(folds), must="<= 53" if last else None,
                aim="<= 45" if last else None, peer="best published refits: 53-68",
            ),
            Row(
                metric=f"{kind}: root mean square", value=1e3 * float(np.sqrt((everything**2).mean())), unit="mrad",
                seeds=len(folds),
            ),
            *_coverage(kind, np.concatenate(inside), len(folds), last),
            Row(metric=f"{kind}: time of a fit", value=float(np.median(took)), unit="s", seeds=len(folds)),
        ]  # fmt: skip
    return [*rows, *_learned(folds)]


def _learned(folds: list[tuple[list[ServoLog], list[ServoLog]]]) -> list[Row]:
    """The servo as `PDMotors` has it, alone and with what a small network learns of it beside."""
    alone, beside, known_share, took = [], [], [], []
    for learnt, kept in folds:
        known = know(fit_motors(learnt), Bench(learnt, BASE))
        begun = time.perf_counter()
        residual = learn(learnt, known)
        took.append(time.perf_counter() - begun)
        bench = Bench(kept, BASE)
        positions, share = predicted(kept, known.fit, residual)
        alone.append(np.abs(bench.positions(known.fit.values[None])[0] - bench.measured))
        beside.append(np.abs(positions - bench.measured))
        known_share.append(100 * share)
    return [
        _error("as PDMotors: mean error of logs kept back", alone),
        _error("as PDMotors with a learnt residual: mean error of logs kept back", beside),
        Row(
            metric="readings kept back in which the residual was known", value=float(np.mean(known_share)), unit="%",
            spread=(min(known_share), max(known_share)), seeds=len(folds),
        ),
        Row(metric="time to learn a residual", value=float(np.median(took)), unit="s", seeds=len(folds)),
    ]  # fmt: skip


def _error(metric: str, errors: list[np.ndarray]) -> Row:
    each = [1e3 * float(error.mean()) for error in errors]
    return Row(
        metric=metric, value=1e3 * float(np.concatenate(errors).mean()), unit="mrad", spread=(min(each), max(each)),
        seeds=len(each),
    )  # fmt: skip


def _coverage(kind: str, inside: np.ndarray, folds: int, bound: bool) -> list[Row]:
    share = 100 * float(inside.mean())
    bounds = (">= 90", "<= 99") if bound else (None, None)
    return [
        Row(metric=f"{kind}: kept back within the 95 % band{said}", value=share, unit="%", seeds=folds, must=must)
        for said, must in zip(("", ", not too many"), bounds, strict=True)
    ][: 2 if bound else 1]


# --- known servos ---


def _known(options: Options) -> list[Row]:
    """Servos drawn around the nominal one, each in six logs, found again."""
    friction: Friction = "load"
    gains = GAINS[2:] if options.quick else GAINS
    held, deviations, reaches = 0, [], []
    for seed in range(options.draws):
        random = np.random.default_rng([seed, 1])
        truth = _truth(friction, random)
        logs = [
            made_log(truth, friction, goal, gain, random) for goal in GOALS for gain in gains if goal != "up_and_down"
        ]
        bench = Bench(logs, friction)
        known = know(fit(logs, friction), bench)
        values = np.array([truth[name] for name in names(friction)])
        held += known.contains(values)
        deviations.append(_apart(known.fit, values))
        reaches.append(_reach(known, values))
    return [
        Row(
            metric="known servos within the 95 % region", value=held, unit=f"of {options.draws}", seeds=options.draws,
            must=">= 18",
        ),
        Row(
            metric="known servos: parameters off by, median of all", value=100 * float(np.median(deviations)), unit="%",
            seeds=options.draws,
        ),
        Row(
            metric="known servos: half of a parameter's 95 % interval, median of all", seeds=options.draws,
            value=100 * float(np.median(reaches)), unit="%",
        ),
    ]  # fmt: skip


def _truth(friction: Friction, random: np.random.Generator) -> Mapping[str, float]:
    nominal = {name: UNKNOWNS[name].parameter.nominal[0] for name in names(friction)}
    drawn = {name: value * float(random.uniform(0.7, 1.4)) for name, value in nominal.items()}
    return drawn | {"offset": float(random.uniform(-0.03, 0.03)), "duty_curve": float(random.uniform(0.0, 0.6))}


def _apart(found: Fit, truth: np.ndarray) -> list[float]:
    return [abs(found.values[i] / truth[i] - 1.0) for i in _sized(found)]


def _reach(known: Knowledge, truth: np.ndarray) -> list[float]:
    return [NORMAL_95 * known.deviations[i] / truth[i] for i in _sized(known.fit)]


def _sized(found: Fit) -> list[int]:
    """Fitted parameters that are never near zero."""
    return [i for i in found.free if found.names[i] not in ("offset", "duty_curve")]


if __name__ == "__main__":
    sys.exit(main())
