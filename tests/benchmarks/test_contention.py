"""Busy programs end with the benchmark, however it ends, and a collapse is called one."""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def contention(benchmarks: Path) -> Any:
    """benchmarks/contention.py."""
    return importlib.import_module("contention")


def ended(pid: int) -> bool:
    """Wait for the end of a process that need not be a child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 30.0)[0])
    finally:
        os.close(handle)


def test_busy_programs_end_with_the_block(contention: Any, monkeypatch: pytest.MonkeyPatch):
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen
    monkeypatch.setattr(contention.subprocess, "Popen", lambda *a: started.append(popen(*a)) or started[-1])
    with contextlib.suppress(KeyboardInterrupt), contention.beside(2):
        assert [process.poll() for process in started] == [None, None]
        raise KeyboardInterrupt
    assert [process.returncode for process in started] == [-9, -9]


def test_a_busy_program_ends_when_its_starter_is_killed(contention: Any):
    starter = (
        "import os, subprocess, sys; "
        "print(subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid())]).pid, flush=True); "
        "os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", starter, contention.NEVER_RESTS]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert done.returncode == -9
    assert ended(int(done.stdout))


def test_a_collapse_misses_the_must(contention: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    common = importlib.import_module("common")
    times = {(0, "ours"): [0.100, 0.103], (0, "spinning"): [0.102, 0.110], (4, "ours"): [0.300, 0.403],
             (4, "spinning"): [2.0, 3.0]}  # fmt: skip
    table = {key: contention.Measured(iteration=value, process=[9.0, 9.0]) for key, value in times.items()}
    quiet = {row.metric: row for row in contention.quiet_rows(table)}
    fastest = quiet["… ours / spinning, the fastest of each"]
    assert fastest.value == pytest.approx(0.100 / 0.102)
    assert common.meets(fastest, fastest.must)

    busy = {row.metric: row for row in contention.busy_rows(4, table)}
    slower = busy["… times as long as alone"]
    assert slower.spread == pytest.approx((3.0, 0.403 / 0.103))
    assert slower.must == "<= 4", "1 + 4 / 2 is fair, a third more is allowed"
    assert common.meets(slower, slower.must)
    table[4, "ours"].iteration[0] = 0.41
    slower = {row.metric: row for row in contention.busy_rows(4, table)}["… times as long as alone"]
    assert not common.meets(slower, slower.must)
