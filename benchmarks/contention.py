"""`make bench-contention`: training beside other programs, as it is done here, where torch's threads sleep while they
wait if other programs want the cores, and with threads that always spin, as OpenMP has it where nobody says otherwise.

Each training is `isthmus-train` in a process of its own. They take turns: alone, then beside more and more programs
that never rest; with each of these first as it is done here, then spinning.
What counts is the seconds of an iteration. A training that lasts too long is ended, and its iterations until then
count.

Where everybody gets a fair share of the cores, `busy` threads beside as many as there are cores make each of them
1 + busy / cores times slower. A third more than that is allowed: an operation on two threads ends with the slower one.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from common import BenchOptions, Row, over_seeds, parse, report, training

from rich.console import Console

from isthmus_policies.training.logs import read_metrics
from isthmus_sim.threads import SPIN_COUNT, WAIT_POLICY

ENVIRONMENTS = {"ours": {}, "spinning": {SPIN_COUNT: "300000"}}
"""What the processes are told; 300,000 turns are what GNU OpenMP does where nothing is said."""
UNFAIR = 4 / 3
QUIET = 0

# It ends with the process that started it, even if that one is killed.
NEVER_RESTS = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(1_000_000):
        pass
"""


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Train alone and beside other programs."""

    task: str = "quadrotor"
    """Task to train."""
    seeds: tuple[int, ...] = (501, 502, 503, 504, 505)
    """Training seeds: each is one round of all trainings."""
    iterations: int = 40
    """Iterations of a training."""
    busy: tuple[int, ...] = (1, 2, 4)
    """Numbers of programs beside that never rest."""
    limit_s: float = 90.0
    """How long the iterations of a training may take, s."""


QUICK = Options(seeds=(501,), iterations=3, busy=(1,), limit_s=5.0)


@dataclass(kw_only=True)
class Measured:
    """Trainings of one kind, seed by seed: seconds of an iteration, and of the whole process."""

    iteration: list[float] = field(default_factory=list)
    process: list[float] = field(default_factory=list)


Table = dict[tuple[int, str], Measured]
"""By the number of busy programs beside and how threads wait."""


@contextmanager
def beside(programs: int) -> Iterator[None]:
    """As many programs that never rest, ended with the block."""
    command = [sys.executable, "-c", NEVER_RESTS, str(os.getpid())]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(programs):
            started.append(subprocess.Popen(command))
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def train(options: Options, seed: int, how: str) -> tuple[float, float]:
    """Seconds of an iteration, and of the whole process with its imports and files."""
    environment = {name: value for name, value in os.environ.items() if name not in (WAIT_POLICY, SPIN_COUNT)}
    with tempfile.TemporaryDirectory() as temporary:
        run = Path(temporary) / "run"
        begun = time.perf_counter()
        command = training(options.task, seed, run, options.iterations)
        process = subprocess.Popen(command, env=environment | ENVIRONMENTS[how], stdout=subprocess.DEVNULL)
        try:
            status = ended(process, run, options.limit_s)
        finally:
            process.kill()
            process.wait()
        seconds = time.perf_counter() - begun
        if status:
            raise RuntimeError(f"{' '.join(command)} ended with {status}")
        rows = read_metrics(run)
    return rows[-1]["seconds"] / len(rows), seconds


def ended(process: subprocess.Popen[bytes], run: Path, limit_s: float) -> int | None:
    """The training's exit status; None when its iterations have lasted too long, and there is at least one."""
    begun: float | None = None
    while (status := process.poll()) is None:
        if begun is None and (run / "metrics.csv").exists():
            begun = time.perf_counter()
        if begun is not None and time.perf_counter() - begun > limit_s and read_metrics(run):
            return None
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
    return status


def measure(options: Options, console: Console) -> Table:
    """All trainings, seed by seed in turns."""
    table: Table = {(busy, how): Measured() for busy in (QUIET, *options.busy) for how in ENVIRONMENTS}
    for seed in options.seeds:
        for (busy, how), measured in table.items():
            with beside(busy):
                iteration, process = train(options, seed, how)
            measured.iteration.append(iteration)
            measured.process.append(process)
            console.print(f"seed {seed}, {busy} busy, {how}: {1e3 * iteration:.0f} ms an iteration, {process:.0f} s")
    return table


def quiet_rows(table: Table) -> list[Row]:
    """Alone. The fastest trainings are compared: whatever else the machine does makes the others slower."""
    ours, spinning = (table[QUIET, how] for how in ENVIRONMENTS)
    return [
        over_seeds("alone: an iteration", _ms(ours.iteration), "ms"),
        over_seeds("… spinning", _ms(spinning.iteration), "ms"),
        Row(metric="… ours / spinning, the fastest of each", value=min(ours.iteration) / min(spinning.iteration),
            unit="", seeds=len(ours.iteration), must="<= 1.03"),
        over_seeds("… the whole process", ours.process, "s"),
    ]  # fmt: skip


def busy_rows(busy: int, table: Table) -> list[Row]:
    """Beside so many programs, and how many times as long as alone with the same seed."""
    ours, spinning, alone = table[busy, "ours"], table[busy, "spinning"], table[QUIET, "ours"]
    fair = 1 + busy / len(os.sched_getaffinity(0))
    times, spun = (_ratios(measured.iteration, alone.iteration) for measured in (ours, spinning))
    return [
        over_seeds(f"beside {busy}: an iteration", _ms(ours.iteration), "ms"),
        over_seeds("… times as long as alone", times, "", must=f"<= {UNFAIR * fair:.3g}", peer=f"fair: {fair:g}"),
        over_seeds("… spinning", _ms(spinning.iteration), "ms"),
        over_seeds("… spinning, times as long as ours alone", spun, "",
                   peer=f"median spinning / ours: {statistics.median(spun) / statistics.median(times):.1f}"),
        over_seeds("… the whole process", ours.process, "s"),
    ]  # fmt: skip


def _ms(seconds: list[float]) -> list[float]:
    return [1e3 * value for value in seconds]


def _ratios(above: list[float], below: list[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def main() -> int:
    """Entry point; 1 when a must is missed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the processes are ended too
    options = parse(Options(), QUICK)
    table = measure(options, Console())
    rows = [row for busy in options.busy for row in busy_rows(busy, table)]
    name = "contention" if options.task == "quadrotor" else f"contention-{options.task}"
    return report(name, quiet_rows(table) + rows, options)


if __name__ == "__main__":
    sys.exit(main())
