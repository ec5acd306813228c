"""How the cores are shared: the one place that decides.

Physics and torch take turns within a control step, so each may use every core. torch has one thread while worlds are
stepped (`one_torch_thread`: its operations are small there), and at most two while a policy is improved: networks of
this size gain nothing from more. Measured on 2 cores in docs/results/training_speed.md.

A thread that waits soon sleeps. torch's wheels for Linux run on GNU OpenMP, whose threads by default turn in a loop
300,000 times (10 ms here) at every wait before they sleep. Where other programs want the cores too, a spinning thread
burns the time that the thread it waits for needs, and training takes many times as long. A thread that sleeps at once
must be woken after every operation, which costs a tenth on a quiet machine. So they turn `TURNS` times. The threads of
`mujoco.batch.Batch` sleep at once; ONNX Runtime's are told to (`isthmus_deploy.runtime.session_options`).
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

WAIT_POLICY, SPIN_COUNT = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"
TURNS = 1_000
"""How often a thread of GNU OpenMP turns before it sleeps: some 30 µs, as long as it takes to wake one."""


@dataclass(frozen=True)
class ThreadBudget:
    """Threads for physics (`mujoco.batch.Batch`) and for torch's operations."""

    physics: int
    torch: int


def cores() -> int:
    """CPU cores that this process may use: its part of them, where torchrun started several processes."""
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


THREADS = ThreadBudget(physics=cores(), torch=min(2, cores()))


def sleep_while_waiting() -> None:
    """Let torch's threads, and those of the processes that this one starts, sleep soon when they wait, unless the
    person has set `OMP_WAIT_POLICY` or `GOMP_SPINCOUNT`. Works only before the first `import torch`: OpenMP reads them
    when it is loaded. Warns where that is too late."""
    if WAIT_POLICY in os.environ or SPIN_COUNT in os.environ:
        return
    os.environ[WAIT_POLICY] = "PASSIVE"  # for the OpenMP of other builds, which counts no turns
    os.environ[SPIN_COUNT] = str(TURNS)
    if "torch" in sys.modules:
        warnings.warn(
            "torch was imported before isthmus_sim, so its threads spin while they wait: beside other busy programs "
            f"training takes many times as long. Import isthmus_sim first, or start Python with {WAIT_POLICY}=PASSIVE.",
            RuntimeWarning,
            stacklevel=3,
        )


# torch is imported when it is needed: how its threads wait is decided by this module, before it loads.


def use_thread_budget() -> None:
    """Give torch its share. Programs call this once, before the first tensor operation."""
    import torch

    torch.set_num_threads(THREADS.torch)


@contextmanager
def torch_threads(most: int) -> Iterator[None]:
    """At most so many threads for torch's operations, meanwhile."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(min(most, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_torch_thread() -> AbstractContextManager[None]:
    """While worlds are stepped."""
    return torch_threads(1)
