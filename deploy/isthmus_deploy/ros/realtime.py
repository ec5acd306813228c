"""What a process that keeps time with a robot needs: scheduling, where it is permitted, and no long collection."""

import contextlib
import ctypes
import gc
import os
import shutil
from collections.abc import Collection

PRIORITY = 50
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4  # <sys/mman.h>


def prefix() -> list[str]:
    """What to put before a command so that all its threads run under SCHED_FIFO; empty where that is not permitted.

    The policy of a process's first thread is inherited by those that it starts, the middleware's among them.
    """
    chrt = shutil.which("chrt")
    if chrt is None:
        return []
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except PermissionError:
        return []
    return [chrt, "--fifo", str(PRIORITY)]


def prefer(priority: int = PRIORITY) -> str:
    """Real-time scheduling (SCHED_FIFO) for all threads of this process and those that it starts later, and memory that
    stays in memory; each where it is permitted. Returns what is not, in words, with what permits it; empty for
    nothing."""
    problems: list[str] = []
    try:
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(priority))
    except PermissionError:
        problems.append("no real-time scheduling: add `<user> - rtprio 90` to /etc/security/limits.conf")
    if ctypes.CDLL(None).mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        problems.append("memory may be swapped out: add `<user> - memlock unlimited` to /etc/security/limits.conf")
    return "; ".join(problems)


def keep_to(cpus: Collection[int]) -> None:
    """Let this thread and those that it starts later run on these cores alone. Raises ValueError for ones that are not
    this process's."""
    strange = {*cpus} - os.sched_getaffinity(0)
    if strange:
        raise ValueError(f"no core {min(strange)} for this process, only {sorted(os.sched_getaffinity(0))}")
    os.sched_setaffinity(0, cpus)


def freeze_garbage() -> None:
    """Let the collector never look again at what start-up made: with torch, that takes it 0.2 s, at any moment."""
    gc.collect()
    gc.freeze()
