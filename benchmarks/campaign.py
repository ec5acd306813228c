"""`make campaign`: faults of many kinds, each many times, into a running robot and its policy node: does it end safe?

The stand-in robot and the node are processes of their own; a relay between them can change every message. Safe is what
a kind of fault says: the safe command (or the slow way to it) within two control periods of the fault or of the
time-out that notices it; not armed; or at work within its limits, or stopped before it left them. Times are from the
fault to the command, where the relay receives it.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, parse, report

import numpy as np

from isthmus_deploy.ros import realtime, ros2

os.environ.setdefault("ROS_DOMAIN_ID", str(random.randrange(1, 100)))
ros2.require()  # before what follows, which imports rclpy

from faults.judge import Outcome  # noqa: E402
from faults.robots import kinds_of, under_test  # noqa: E402
from faults.system import System  # noqa: E402
from faults.trial import Holds, Kind, Stops, Trial  # noqa: E402

_BASE_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Inject faults of many kinds into a running robot and its policy node."""

    runs: int = 20
    """Runs of each kind."""
    kinds: tuple[str, ...] = ()
    """Only kinds whose name holds one of these; by default all."""
    robots: tuple[str, ...] = ("quadrotor", "quadruped")
    """Robots that take part."""
    realtime: bool = True
    """Real-time scheduling for robot, relay and node, as on a robot, where the machine permits it."""
    seed: int = 0
    """Draws when in a control period a fault begins, and whatever it draws."""


QUICK = Options(
    runs=1,
    kinds=("kill -9 of the node", "the node hangs for 0.5 s", "position is not a number", "odometry falls silent"),
    robots=("quadrotor",),
)


def main() -> int:
    """Entry point; 1 when a run did not end safe."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored, by the node too
    options = parse(Options(), QUICK)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["ROS_LOG_DIR"] = str(folder)
        rows = [row for robot in options.robots for row in campaign(options, robot, folder)]
    return report("campaign", [*rows, *totals(rows)], options)


def campaign(options: Options, robot: str, folder: Path) -> Iterator[Row]:
    """A row for each kind of fault of one robot."""
    chosen = [k for k in kinds_of(robot, folder) if not options.kinds or any(n in k.name for n in options.kinds)]
    if not chosen:
        return
    body, policy = under_test(robot, folder)
    scheduling = realtime.prefix() if options.realtime else []
    if scheduling:
        realtime.prefer(realtime.PRIORITY)  # the relay
    with closing(System(body, policy, folder, scheduling)) as system:
        for kind in chosen:
            outcomes = [_run(kind, system, np.random.default_rng([options.seed, run])) for run in range(options.runs)]
            yield _row(kind, outcomes, body.contract.control_period_s)


def _run(kind: Kind, system: System, random: np.random.Generator) -> Outcome:
    """One run. Where the robot fails before the fault comes, that tries nothing, and is tried again."""
    problem = ""
    for _ in range(_BASE_TRIES):
        try:
            outcome = Trial(kind, system, random).run()
        except AssertionError as error:
            problem = f"{str(error).split(';')[0]}; the node's last words: {system.last_words}"
            system.end_node()
            continue
        print(f"{kind.name}: {'' if outcome.safe else 'NOT SAFE: '}{outcome.what}", file=sys.stderr, flush=True)
        return outcome
    print(f"{kind.name}: could not be tried: {problem}", file=sys.stderr, flush=True)
    return Outcome(safe=False, what=f"could not be tried: {problem}")


def _row(kind: Kind, outcomes: list[Outcome], period_s: float) -> Row:
    times_ms = sorted(1e3 * outcome.time_s for outcome in outcomes if outcome.time_s is not None)
    told = []
    if times_ms:
        told.append(f"after {times_ms[len(times_ms) // 2]:.1f} ms, at most {times_ms[-1]:.1f}")
    if isinstance(kind.expect, Stops):
        told.append(f"bound {1e3 * kind.expect.bound_s(period_s):.0f} ms")
    elif isinstance(kind.expect, Holds):
        told.append(f"worked on {sum(outcome.what == 'worked on' for outcome in outcomes)} times")
    else:
        told.append(f"refused {sum(outcome.safe for outcome in outcomes)} times")
    told += sorted({outcome.what for outcome in outcomes if not outcome.safe})
    safe = 100.0 * sum(outcome.safe for outcome in outcomes) / len(outcomes)
    name = f"{kind.robot}: {kind.name}" + (f" (row {kind.row})" if kind.row else "")
    return Row(metric=name, value=safe, unit="% safe", seeds=len(outcomes), must=">= 100", peer="; ".join(told))


def totals(rows: list[Row]) -> list[Row]:
    """Over all kinds."""
    runs = sum(row.seeds for row in rows)
    safe = sum(row.value * row.seeds for row in rows) / runs
    return [
        Row(metric="kinds of faults", value=len(rows), unit="", must=">= 24"),
        Row(metric="all runs", value=safe, unit="% safe", seeds=runs, must=">= 100"),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
