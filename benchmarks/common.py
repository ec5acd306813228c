"""What every benchmark shares: rows with a must and an aim, the machine they ran on, a table, a JSON file, an exit
code."""

from __future__ import annotations

import datetime
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from isthmus_policies.files import code_revision, write_json

RESULTS = Path("runs/bench")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured number. spread: least and most over the seeds or repeats; must, aim: bounds such as "<= 60"; peer:
    what stands beside it, measured in the same run or quoted with its source."""

    metric: str
    value: float
    unit: str
    spread: tuple[float, float] | None = None
    seeds: int = 1
    must: str | None = None
    aim: str | None = None
    peer: str | None = None


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


def report(name: str, rows: list[Row]) -> int:
    """Print the table and write runs/bench/NAME.json; 1 when a must is missed, else 0. Every bound holds for the
    worst seed."""
    table = Table(
        title=f"{name} · {machine()} · load {os.getloadavg()[0]:.1f} · {code_revision()}", title_justify="left"
    )
    for heading, justify in (("metric", "left"), ("value", "right"), ("spread", "right"), ("n", "right")):
        table.add_column(heading, justify=justify)  # pyright: ignore[reportArgumentType]
    for heading in ("must", "aim", "beside it"):
        table.add_column(heading)
    for row in rows:
        spread = f"{row.spread[0]:.4g} … {row.spread[1]:.4g}" if row.spread else ""
        must, aim = _mark(meets(row, row.must), row.must), _mark(meets(row, row.aim), row.aim)
        table.add_row(row.metric, f"{row.value:.4g} {row.unit}", spread, str(row.seeds), must, aim, row.peer or "")
    Console(width=None if os.isatty(1) else 180).print(table)
    RESULTS.mkdir(parents=True, exist_ok=True)
    facts = {"machine": machine(), "code_revision": code_revision(), "date": datetime.date.today().isoformat()}
    write_json(RESULTS / f"{name}.json", [asdict(row) | facts for row in rows])
    return int(any(meets(row, row.must) is False for row in rows))


def over_seeds(metric: str, values: list[float], unit: str, **bounds: str | None) -> Row:
    """The median over seeds with the whole spread."""
    middle = sorted(values)[len(values) // 2]
    return Row(metric=metric, value=middle, unit=unit, spread=(min(values), max(values)), seeds=len(values), **bounds)
