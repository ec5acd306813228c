"""Sensor-to-command time over DDS at 100 Hz, beside a bare echo of the same messages.

A stand-in robot, the policy node and a mission fly as three processes; the robot times each odom until its command
comes back. Then a process that does nothing else answers the same messages: the limit of this machine and middleware.
`make bench-deploy` has more to say of a hand-made policy; this one takes any.
"""

from __future__ import annotations

import os
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, parse, report

from deployment.flight import Case, Flown, Measured, echo, fly


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Measure sensor-to-command time."""

    policy: Path | None = None
    """Policy file; without one, a hand-made controller that needs no training."""
    seconds: float = 20.0
    """Length of the flight, and of the echo, s."""
    seed: int = 7
    """Body of the stand-in robot."""
    realtime: bool = True
    """Real-time scheduling for robot, node and echo, as on a robot, where the machine permits it."""


QUICK = Options(seconds=2.0)


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.randrange(1, 100)))
    case = Case(seconds=options.seconds, policy=options.policy, realtime=options.realtime, seed=options.seed)
    with tempfile.TemporaryDirectory() as folder:
        flown = fly(case, Path(folder))
        if not flown.succeeded:
            raise SystemExit("the flight failed, so its timing says nothing")
        limit = echo(case, options.seconds, Path(folder))
    return report("latency", rows(flown, limit), options)


def rows(flown: Flown, limit: Measured) -> list[Row]:
    """The table, in ms."""
    latency, inside = flown.robot["sensor_to_command"], flown.node["reading_to_command"]
    loop = flown.node["loop"]
    return [
        _row("sensor to command, p50", latency["p50_us"], f"bare echo {limit['p50_us'] / 1e3:.2f} ms"),
        _row("sensor to command, p99", latency["p99_us"], f"bare echo {limit['p99_us'] / 1e3:.2f} ms", must="<= 2"),
        _row("sensor to command, max", latency["max_us"], f"bare echo {limit['max_us'] / 1e3:.2f} ms"),
        _row("in the node: reading to command, p99", inside["p99_us"]),
        _row("in the node: guard, policy and filter, p50", flown.node["sections"]["policy"]["p50_us"]),
        Row(metric="readings that came late or never", value=loop["missed_readings"], unit=f"of {loop['cycles']}"),
        Row(metric="overruns", value=loop["overruns"], unit=f"of {loop['cycles']}"),
    ]


def _row(metric: str, microseconds: float, peer: str | None = None, must: str | None = None) -> Row:
    return Row(metric=metric, value=microseconds / 1e3, unit="ms", must=must, peer=peer)


if __name__ == "__main__":
    raise SystemExit(main())
