"""How much memory a process and its children hold, as the system counts it; see proc(5)."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")


def tree(pid: int) -> dict[str, int]:
    """A process and its children: by the modules that they run, their numbers."""
    children = [child for task in (_PROC / f"{pid}/task").glob("*/children") for child in task.read_text().split()]
    return {_module(each): each for each in (pid, *map(int, children))}


def resident_kib(pid: int) -> int:
    """Resident memory, KiB: exact, unlike that of /proc/PID/status, which kernels count in batches."""
    lines = (_PROC / f"{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))


def _module(pid: int) -> str:
    """What a `python -m MODULE` runs; empty for a process that is not there yet, or not any more."""
    _, _, rest = (_PROC / f"{pid}/cmdline").read_text().partition("\0-m\0")
    return rest.split("\0")[0]
