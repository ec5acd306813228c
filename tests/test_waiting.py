"""Threads of OpenMP turn or sleep while they wait, as it suits what other programs use of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus_sim.waiting import OtherPrograms, Waiting

import torch  # isort: skip (it would come before what says how its threads wait)

CORE = min(os.sched_getaffinity(0))
STRANGE = max(os.sched_getaffinity(0)) + 1
TICKS = os.sysconf("SC_CLK_TCK")


def stat(working: int, idle: int, *, elsewhere: int = 0) -> str:
    """/proc/stat when one core that this process may use has worked and rested so many ticks, and one that it may not
    has worked so many."""
    return (
        f"cpu  {working + elsewhere} 0 0 {idle} 0 0 0 0 0 0\n"
        f"cpu{CORE} {working // 2} 0 {working - working // 2} {idle} 0 0 0 0 0 0\n"
        f"cpu{STRANGE} {elsewhere} 0 0 0 0 0 0 0 0 0\nintr 1 2 3\n"
    )


def others(*looks: tuple[str, float]) -> OtherPrograms:
    """Looks at /proc/stat and at this process's own time, one after the other."""
    texts, own = (iter(values) for values in zip(*looks, strict=True))
    return OtherPrograms(lambda: next(texts), lambda: next(own))


def test_what_others_use_is_what_this_process_does_not(monkeypatch: pytest.MonkeyPatch):
    """Of 2 s, its core worked for 1.5 s, 0.5 s of them for this process: half a core was the others'."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {CORE})
    looks = (stat(0, 0), 3.0), (stat(3 * TICKS // 2, TICKS // 2, elsewhere=9 * TICKS), 3.5)
    assert others(*looks).cores() == pytest.approx(0.5)


def test_without_time_or_without_that_file_there_is_nobody_else():
    assert others((stat(5, 5), 1.0), (stat(5, 5), 1.0)).cores() == 0.0
    assert others(("", 1.0), ("", 2.0)).cores() == 0.0


IN_A_PROCESS = """
import os
from isthmus_sim.threads import WAITING, use_thread_budget
import torch
threads = lambda: len(os.listdir("/proc/self/task"))
{code}
"""


def outcome(code: str, **settings: str) -> list[str]:
    """What the code prints in a process of its own, in which only these settings say how threads wait."""
    clean = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = [sys.executable, "-c", IN_A_PROCESS.format(code=code)]
    result = subprocess.run(command, env=clean | settings, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


gnu = pytest.mark.skipif(
    not list(Path(torch.__file__).parent.glob("lib/libgomp*")), reason="torch's OpenMP here is not GNU's"
)


@gnu
def test_programs_begin_asleep_and_turn_while_the_machine_is_free():
    """Asleep by more threads than there are cores."""
    code = """
before = threads(); use_thread_budget(); print(WAITING.asleep, threads() - before > os.cpu_count())
for cores_of_others in (0.0, 1.0, 0.1):
    WAITING.suit(cores_of_others); print(WAITING.asleep)
"""
    assert outcome(code) == ["True", "True", "False", "True", "False"]


@gnu
def test_threads_that_make_the_crowd_end_with_it():
    code = """
import time
before, deadline = threads(), time.monotonic() + 20
for _ in range(3):
    WAITING.sleep(); WAITING.turn()
while threads() > before and time.monotonic() < deadline:
    time.sleep(0.01)  # they end by themselves, a moment later
print(before, threads())
"""
    before, after = outcome(code)
    assert before == after


@gnu
def test_whoever_has_said_how_they_wait_is_obeyed_and_a_child_of_ours_is_not_taken_for_that():
    code = "WAITING.sleep(); print(WAITING.settled, WAITING.asleep)"
    assert outcome(code, GOMP_SPINCOUNT="77") == ["True", "False"]
    assert outcome(code, OMP_WAIT_POLICY="ACTIVE") == ["True", "False"]
    child = f'import subprocess, sys; subprocess.run([sys.executable, "-c", {IN_A_PROCESS.format(code=code)!r}])'
    assert outcome(child) == ["False", "True"]


def test_where_there_is_no_such_openmp_nothing_changes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("isthmus_sim.waiting._openmp", lambda: None)
    waiting = Waiting()
    waiting.sleep()
    assert not waiting.asleep
