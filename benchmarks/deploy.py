"""`make bench-deploy`: how evenly, how soon and in how much memory the policy node works, beside what this machine can
do at best.

A stand-in robot, the node and an operator fly as three processes; beside them, all the while, a loop that only sleeps
until absolute times (clock_nanosleep) tells how evenly this machine wakes anybody up. After each flight a bare echo of
the same messages tells how soon an answer can be there. All of it at 100 Hz and at 500 Hz, with the real-time
scheduling that a robot has; and at 100 Hz beside programs that never rest, with default scheduling and with real-time.

Percentiles are upper edges of buckets that are 12 % wide, on both sides of every comparison.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from common import BenchOptions, Row, parse, report

from contention import beside
from deployment.flight import NODE, RECORDER, WATCHDOG, Case, Flown, Measured, echo, fly
from deployment.histograms import draw

from isthmus_deploy.ros import realtime

TIMES = {"p50": "p50_us", "p99": "p99_us", "p99.9": "p99.9_us", "max": "max_us"}
"""What is told of a histogram, and as what it is written down."""
PROCESSES = {NODE: "policy node", WATCHDOG: "watchdog", RECORDER: "recorder"}


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Time the policy node with a stand-in robot."""

    policy: Path | None = None
    """Policy file for the flights at 100 Hz; without one, a hand-made controller that needs no training. The one at
    500 Hz always has that."""
    seconds: float = 600.0
    """Length of the flight at 100 Hz, s."""
    fast_s: float = 60.0
    """Length of the flight at 500 Hz, s."""
    busy_s: float = 60.0
    """Length of each flight beside busy programs, one on each core, s."""
    echo_s: float = 30.0
    """Length of the echo after each flight, s."""
    warm_s: float = 60.0
    """When the memory is first looked at, s."""
    seed: int = 7
    """Body of the stand-in robot."""
    figure: Path | None = None
    """Where to draw the histograms of both flights without busy programs, such as docs/images/latency.png."""


QUICK = Options(seconds=2.0, fast_s=2.0, echo_s=1.0, warm_s=2.0)


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A case, a flight of it and the echo after it; busy: among busy programs, where nothing is a must."""

    name: str
    case: Case
    flown: Flown
    echo: Measured
    busy: bool


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.randrange(1, 100)))
    with tempfile.TemporaryDirectory() as folder:
        timed = list(flights(options, Path(folder)))
    if options.figure:
        draw([(each.name, each.flown, each.echo) for each in timed if not each.busy], options.figure)
    return report("deploy", [row for each in timed for row in rows(each)], options)


def flights(options: Options, folder: Path) -> Iterator[Timed]:
    """Both rates, then beside busy programs; --quick leaves these out."""
    permitted = bool(realtime.prefix())
    if not permitted:
        print("real-time scheduling is not permitted here, so all is measured without", file=sys.stderr)
    slow = Case(
        seconds=options.seconds, policy=options.policy, realtime=permitted, seed=options.seed, warm_s=options.warm_s
    )
    fast = replace(slow, seconds=options.fast_s, policy=None, period_s=0.002, warm_s=None)
    among = replace(slow, seconds=options.busy_s, warm_s=None)
    yield timed("100 Hz", slow, options, folder)
    yield timed("500 Hz", fast, options, folder)
    if options.quick:  # each flight takes 15 s to begin and to end
        return
    yield timed("busy, default scheduling", replace(among, realtime=False), options, folder, busy=True)
    if permitted:
        yield timed("busy, real time", among, options, folder, busy=True)


def timed(name: str, case: Case, options: Options, folder: Path, *, busy: bool = False) -> Timed:
    """Fly and echo, among as many busy programs as there are cores or among none."""
    with beside(len(os.sched_getaffinity(0)) if busy else 0):
        flown = fly(case, folder)
        limit = echo(case, options.echo_s, folder)
    return Timed(name=name, case=case, flown=flown, echo=limit, busy=busy)


def rows(timed: Timed) -> list[Row]:
    """What the table has of a flight."""
    loop, inference = timed.flown.node["loop"], timed.flown.node["sections"]["policy"]
    table = [
        Row(metric="flown to the end", value=float(timed.flown.succeeded), unit="of 1", must=">= 1"),
        *_jitter(loop["period_error"], timed.flown.bare, timed.flown.robot["period_error"]),
        *_latency(timed.flown.robot["sensor_to_command"], timed.echo),
        *(_time(f"inference, {name}", inference[key]) for name, key in TIMES.items()),
        Row(metric="periods missed", value=loop["skipped_periods"], unit=f"of {loop['cycles']}"),
        Row(metric="readings that came late or never", value=loop["missed_readings"], unit=f"of {loop['cycles']}"),
        *_growth(timed),
    ]
    return [replace(row, metric=f"{timed.name}: {row.metric}", must=None if timed.busy else row.must) for row in table]


def _jitter(loop: Measured, bare: Measured, robot: Measured) -> Iterator[Row]:
    yield from _beside("period jitter", loop, {"bare loop": bare, "the robot's readings": robot})
    yield Row(
        metric="period jitter, p99.9, over the bare loop",
        value=loop["p99.9_us"] / bare["p99.9_us"], unit="times", must="<= 2", peer=_pair(loop, bare, "p99.9_us"),
    )  # fmt: skip


def _latency(latency: Measured, limit: Measured) -> Iterator[Row]:
    yield from _beside("sensor to command", latency, {"bare echo": limit})
    yield Row(
        metric="sensor to command, p99, over the bare echo",
        value=(latency["p99_us"] - limit["p99_us"]) / 1e3, unit="ms", must="<= 0.5",
        peer=_pair(latency, limit, "p99_us"),
    )  # fmt: skip


def _growth(timed: Timed) -> Iterator[Row]:
    for module, kib in timed.flown.grown_kib.items():
        metric = f"memory grown by from {timed.case.warm_s:g} s to the end: {PROCESSES[module]}"
        yield Row(metric=metric, value=kib * 1024 / 1e6, unit="MB", must="<= 1")


def _beside(what: str, ours: Measured, others: Mapping[str, Measured]) -> Iterator[Row]:
    for name, key in TIMES.items():
        peer = ", ".join(f"{whose} {other[key] / 1e3:.3g} ms" for whose, other in others.items())
        yield replace(_time(f"{what}, {name}", ours[key]), peer=peer)


def _time(metric: str, microseconds: float) -> Row:
    return Row(metric=metric, value=microseconds / 1e3, unit="ms")


def _pair(ours: Measured, limit: Measured, key: str) -> str:
    return f"{ours[key] / 1e3:.3g} ms and {limit[key] / 1e3:.3g} ms"


if __name__ == "__main__":
    raise SystemExit(main())
