"""`isthmus-identify LOGS`: from logs of a servo on a pendulum to the parameters of its simulation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from isthmus_sim.identify.bam import read_bam
from isthmus_sim.identify.fit import fit
from isthmus_sim.identify.identified import Identified, identified
from isthmus_sim.identify.learned import BASE, fit_motors, learn, predicted
from isthmus_sim.identify.log import LogError, ServoLog
from isthmus_sim.identify.servo import Bench, Friction
from isthmus_sim.identify.table import read_csv
from isthmus_sim.identify.uncertainty import Knowledge, band, know

_READERS = {".json": read_bam, ".csv": read_csv}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Identify a servo from logs of it: motor, delay, gain and friction, each with a 95 % interval, and what the logs
    do not tell. Writes what training can randomise."""

    logs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files of the BAM testbench (.json) or tables (.csv), or folders of them."""
    hold_out: tuple[str, ...] = ()
    """Logs that are not learnt from, by name: the result is judged on them."""
    friction: Friction = "load-stribeck"
    """What friction may depend on besides speed: coulomb nothing, stribeck on rest, load on what the gears carry."""
    out: Path = field(default_factory=lambda: Path("identified.json"))
    """Where to write the result."""
    residual: Path | None = None
    """Where to write what a small network learns of the motor beside its formulas, for `LearnedMotors`."""
    plot: Path | None = None
    """Where to draw measured and simulated positions with the 95 % band; held-out logs too."""


def read_logs(paths: Sequence[Path]) -> list[ServoLog]:
    """All logs in files and folders.

    Raises:
        LogError: there is none, one cannot be used, or two have one name.
    """
    files = [file for path in paths for file in (_within(path) if path.is_dir() else [path])]
    unknown = [file.name for file in files if file.suffix not in _READERS]
    if unknown or not files:
        raise LogError(f"{unknown[0] if unknown else 'no file'}: a log is one of {', '.join(_READERS)}")
    logs = [_READERS[file.suffix](file) for file in files]
    names = [log.name for log in logs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise LogError(f"two logs have the name {min(twice)}; give each its own")
    return logs


def _within(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in _READERS)


def main() -> None:
    """Entry point of `isthmus-identify`."""
    options = tyro.cli(Options, prog="isthmus-identify")
    try:
        _run(options)
    except LogError as error:
        sys.exit(f"isthmus-identify: {error}")


def _run(options: Options) -> None:
    logs = read_logs(options.logs)
    unknown = set(options.hold_out) - {log.name for log in logs}
    if unknown:
        raise LogError(f"there is no log {min(unknown)} to hold out; there are: {', '.join(log.name for log in logs)}")
    learnt = [log for log in logs if log.name not in options.hold_out]
    if not learnt:
        raise LogError("all logs are held out: there is nothing to learn from")
    known = know(fit(learnt, options.friction), Bench(learnt, options.friction))
    found = identified(known, learnt)
    found.write(options.out)
    _show(found)
    if held := [log for log in logs if log.name in options.hold_out]:
        _judge(known, held)
    if options.residual:
        _learn(learnt, [log for log in logs if log.name in options.hold_out], options.residual)
    if options.plot:
        from isthmus_sim.identify.plot import draw

        draw(known, logs, {log.name for log in learnt}, options.plot)
    print(f"written to {options.out}")


def _show(found: Identified) -> None:
    print(f"{len(found.logs)} logs, friction {found.friction}: mean error {1e3 * found.error_rad:.1f} mrad")
    for heading, ranges in (
        ("parameter", found.parameters),
        (f"as a drive at firmware gain {found.drive_at['firmware_gain']:g}", found.drive),
    ):
        print(f"{heading:34} {'value':>10} {'95 % interval':>23}  unit")
        for name, item in ranges.items():
            print(f"  {name:32} {item.value:10.4g} {item.low:11.4g} …{item.high:10.4g}  {item.unit}")
    for line in found.remarks:
        print(f"note: {line}")


def _learn(logs: Sequence[ServoLog], held: Sequence[ServoLog], path: Path) -> None:
    known = know(fit_motors(logs), Bench(logs, BASE))
    found = learn(logs, known)
    found.write(path)
    for words, some in (("in the same logs", logs), ("held out", held)):
        if some:
            bench = Bench(some, BASE)
            alone = np.abs(bench.positions(known.fit.values[None])[0] - bench.measured)
            positions, familiar = predicted(some, known.fit, found)
            beside = np.abs(positions - bench.measured)
            print(
                f"as PDMotors, {words}: mean error {1e3 * alone.mean():.1f} mrad, with the residual "
                f"{1e3 * beside.mean():.1f} mrad; it was known in {familiar:.1%} of the readings"
            )
    print(f"written to {path}")


def _judge(known: Knowledge, held: Sequence[ServoLog]) -> None:
    bench = Bench(held, known.fit.friction)
    predicted, half = band(known, bench)
    apart = np.abs(predicted - bench.measured)
    for log, error, inside in zip(held, bench.split(apart), bench.split(apart <= half), strict=True):
        print(f"held out {log.name}: mean error {1e3 * error.mean():.1f} mrad, {inside.mean():.1%} within the band")


if __name__ == "__main__":
    main()
