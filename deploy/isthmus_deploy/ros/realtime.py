"""What a process that keeps time with a robot needs: scheduling, where it is permitted, and no long collection."""

import contextlib
import ctypes
import gc
import os
import shutil

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


def prefer(priority: int) -> None:
    """Real-time scheduling (SCHED_FIFO) for this thread and those that it starts later, and memory that stays in
    memory; each where it is permitted."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    ctypes.CDLL(None).mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)  # where it fails, nothing is locked


def freeze_garbage() -> None:
    """Let the collector never look again at what start-up made: with torch, that takes it 0.2 s, at any moment."""
    gc.collect()
    gc.freeze()
