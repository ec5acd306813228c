"""What every benchmark shares: options, rows with a must and an aim, the machine they ran on, a table, a JSON file, an
exit code.

Benchmarks import this module before torch, so that torch's threads do not spin (`isthmus_sim.threads`).
"""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import shlex
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import tyro
from rich.console import Console
from rich.table import Table

from isthmus_deploy.timing.machine_load import machine_load
from isthmus_policies.files import code_revision, write_json

FIGURES = Path("runs/bench")
RESULTS = Path(__file__).parents[1] / "docs" / "results"


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """What every benchmark can be told."""

    quick: bool = False
    """Run at most a minute with small numbers: proves that everything runs, judges no bound and claims nothing."""
    save: bool = False
    """Also write the figures to docs/results/NAME.json, beside the page that speaks of them."""


Chosen = TypeVar("Chosen", bound=BenchOptions)


def parse(full: Chosen, quick: Chosen) -> Chosen:
    """The command line, over the defaults `full`, or `quick` where it says --quick. Ends the program where it is wrong,
    and says when the machine is too busy for speeds."""
    default = replace(quick, quick=True) if "--quick" in sys.argv[1:] else full
    options = tyro.cli(type(full), default=default, prog=_target())
    if options.quick and options.save:
        sys.exit(f"{_target()}: --quick claims nothing, so there is nothing to --save; leave one of them out")
    if note := machine_load().speed_note():
        print(f"{_target()}: {note}", file=sys.stderr)
    return options


def _target() -> str:
    name = Path(sys.argv[0]).stem.replace("_", "-")
    return name if name == "campaign" else f"bench-{name}"  # the one that measures nothing


def _command() -> str:
    """What a person types to run this again."""
    arguments = sys.argv[1:]
    return f"make {_target()}" + (f" ARGS={shlex.quote(shlex.join(arguments))}" if arguments else "")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured number. spread: least and most over the seeds or repeats; must, aim: bounds such as "<= 60"; peer:
    what stands beside it, measured in the same run or quoted with its source.

    A value that is infinite could not be measured, because every episode failed, say: it keeps no upper bound, the
    table shows a dash and JSON has null."""

    metric: str
    value: float
    unit: str
    spread: tuple[float, float] | None = None
    seeds: int = 1
    must: str | None = None
    aim: str | None = None
    peer: str | None = None


def training(task: str, seed: int, run: Path, iterations: int | None = None) -> list[str]:
    """The command that trains `task` into the folder `run`; its own number of iterations unless another is given."""
    command = [sys.executable, "-m", "isthmus_policies.training.train", task, "--seed", str(seed), "--run", str(run)]
    return [*command, "--iterations", str(iterations)] if iterations else command


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A training that was run: wall minutes of the whole command, imports and files included, by which revision, and
    what it was told."""

    minutes: float
    code_revision: str
    arguments: str = ""


def train(command: list[str], run: Path) -> Trained:
    """Run the command, which trains into the folder `run`. A training that a benchmark finished there before is not
    repeated: many seeds together may take longer than one sitting."""
    finished, arguments = run / "bench.json", shlex.join(word for word in command[1:] if word != str(run))
    if finished.is_file():
        trained = Trained(**json.loads(finished.read_text(encoding="utf-8")))
        if trained.arguments != arguments:
            sys.exit(f"{run} was trained by {trained.arguments}, not by {arguments}: choose another folder")
        return trained
    begun = time.perf_counter()
    subprocess.run(command, check=True)
    minutes = (time.perf_counter() - begun) / 60
    trained = Trained(minutes=minutes, code_revision=code_revision(), arguments=arguments)
    write_json(finished, asdict(trained))
    return trained


def revisions(trainings: list[Trained]) -> str | None:
    """What a row says of trainings that other revisions than this one have run; None where there are none."""
    others = {each.code_revision for each in trainings} - {code_revision()}
    return f"trained at {', '.join(sorted(others))}" if others else None


def meets(row: Row, bound: str | None) -> bool | None:
    """Whether the row's worst value keeps the bound; None without a bound."""
    if bound is None:
        return None
    relation, limit = bound.split()
    low, high = row.spread or (row.value, row.value)
    return high <= float(limit) if relation == "<=" else low >= float(limit)


def machine() -> str:
    """Processor, cores and memory, as /proc tells them."""
    model = next(
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {model}, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


def _mark(met: bool | None, bound: str | None) -> str:
    if bound is None:
        return ""
    return f"[green]{bound} ✓[/]" if met else f"[red]{bound} ✗[/]"


def report(name: str, rows: list[Row], options: BenchOptions) -> int:
    """Print the table and write runs/bench/NAME.json, and with --save docs/results/NAME.json; 1 when a must is missed,
    else 0. Every bound holds for the worst seed. A quick run has no bounds and writes runs/bench/NAME-quick.json."""
    if options.quick:
        name, rows = f"{name}-quick", [replace(row, must=None, aim=None) for row in rows]
    facts: dict[str, Any] = {
        "command": _command(),
        "code_revision": code_revision(),
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
        "date": datetime.date.today().isoformat(),
    }
    claim = ", which claims nothing" if options.quick else ""
    title = f"{name}{claim} · {facts['machine']} · load {facts['load']} · {facts['code_revision']}"
    Console(width=None if os.isatty(1) else 180).print(_table(rows, title))
    FIGURES.mkdir(parents=True, exist_ok=True)
    for folder in (FIGURES, RESULTS) if options.save else (FIGURES,):
        write_json(folder / f"{name}.json", [_figure(row) | facts for row in rows])
    return int(any(meets(row, row.must) is False for row in rows))


def _figure(row: Row) -> dict[str, Any]:
    """A row as JSON can hold it."""

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    spread = row.spread and tuple(map(finite, row.spread))
    return asdict(row) | {"value": finite(row.value), "spread": spread}


def _shown(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "–"


def _table(rows: list[Row], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for heading, justify in (("metric", "left"), ("value", "right"), ("spread", "right"), ("n", "right")):
        table.add_column(heading, justify=justify)  # pyright: ignore[reportArgumentType]
    for heading in ("must", "aim", "beside it"):
        table.add_column(heading)
    for row in rows:
        spread = " … ".join(map(_shown, row.spread)) if row.spread else ""
        must, aim = _mark(meets(row, row.must), row.must), _mark(meets(row, row.aim), row.aim)
        table.add_row(row.metric, f"{_shown(row.value)} {row.unit}", spread, str(row.seeds), must, aim, row.peer or "")
    return table


def over_seeds(metric: str, values: list[float], unit: str, **bounds: str | None) -> Row:
    """The median over seeds with the whole spread."""
    middle = sorted(values)[len(values) // 2]
    return Row(metric=metric, value=middle, unit=unit, spread=(min(values), max(values)), seeds=len(values), **bounds)
