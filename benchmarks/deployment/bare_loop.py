"""How evenly this machine can wake a program up: a loop that sleeps until absolute times and does nothing else.

`python benchmarks/deployment/bare_loop.py` calls clock_nanosleep(2) with TIMER_ABSTIME once a period, until SIGTERM
ends it, and writes down by how much the time from one awakening to the next differed from the period.
"""

from __future__ import annotations

import ctypes
import gc
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from isthmus_deploy.ros.files import write_json
from isthmus_deploy.timing.histogram import LatencyHistogram

_TIMER_ABSTIME = 1  # <time.h>
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sleep, period by period."""

    period_s: float
    """From one awakening to the next, s."""
    log: Path
    """Where to write the histogram as JSON."""


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


def main() -> None:
    """Entry point."""
    config = tyro.cli(Config)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    gc.freeze()
    write_json(config.log, sleep(round(config.period_s * 1e9), stopped).summary())


def sleep(period_ns: int, stopped: object) -> LatencyHistogram:
    """Sleep period by period until `stopped` is true; absolute differences from the period."""
    nanosleep, wanted = ctypes.CDLL(None).clock_nanosleep, _Timespec()
    errors = LatencyHistogram()
    due_ns = before_ns = time.monotonic_ns()
    while not stopped:
        due_ns += period_ns
        wanted.tv_sec, wanted.tv_nsec = divmod(due_ns, _SECOND_NS)
        nanosleep(time.CLOCK_MONOTONIC, _TIMER_ABSTIME, ctypes.byref(wanted), None)
        now_ns = time.monotonic_ns()
        errors.record(abs(now_ns - before_ns - period_ns))
        before_ns = now_ns
    return errors


if __name__ == "__main__":
    main()
