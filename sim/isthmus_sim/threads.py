"""How the cores are shared: the one place that decides.

Physics and torch take turns within a control step, so each may use every core. torch has one thread while worlds are
stepped (`one_torch_thread`: its operations are small there), and at most two while a policy is improved: networks of
this size gain nothing from more. Measured on 2 cores in docs/results/training_speed.md.

While they wait, threads turn in a loop or sleep, as it suits what else the machine does (`isthmus_sim.waiting`). The
threads of `mujoco.batch.Batch` sleep at once; ONNX Runtime's are told to
(`isthmus_deploy.policy.sessions.session_options`).
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from isthmus_sim.waiting import Waiting

WAIT_POLICY, SPIN_COUNT = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"
TURNS = 30_000
"""How often a thread of GNU OpenMP turns before it sleeps, where it turns at all: 1 ms, far longer than waking one."""
WAITING = Waiting()
"""How this process's threads wait."""


@dataclass(frozen=True)
class ThreadBudget:
    """Threads for physics (`mujoco.batch.Batch`) and for torch's operations."""

    physics: int
    torch: int


def cores() -> int:
    """CPU cores that this process may use: its part of them, where torchrun started several processes."""
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


THREADS = ThreadBudget(physics=cores(), torch=min(2, cores()))


def settle_waiting() -> None:
    """Tell the OpenMP of this process, and of those that it starts, how threads wait, unless the person has set
    `OMP_WAIT_POLICY` or `GOMP_SPINCOUNT`. Works only before the first `import torch`: OpenMP reads them when it is
    loaded. Warns where that is too late."""
    # Whoever has no turns to count sleeps; so does GNU's OpenMP while it is crowded.
    ours = {WAIT_POLICY: "PASSIVE", SPIN_COUNT: str(TURNS)}
    said = {name: os.environ[name] for name in ours if name in os.environ}
    WAITING.settled = said not in ({}, ours)
    if said:
        return
    os.environ.update(ours)
    if "torch" in sys.modules:
        warnings.warn(
            "torch was imported before isthmus_sim, so its threads spin while they wait: beside other busy programs "
            f"training takes many times as long. Import isthmus_sim first, or start Python with {WAIT_POLICY}=PASSIVE.",
            RuntimeWarning,
            stacklevel=3,
        )


# torch is imported when it is needed: how its threads wait is decided by this module, before it loads.


def use_thread_budget() -> None:
    """Give torch its share, its threads asleep while they wait. Programs call this once, before the first tensor
    operation."""
    import torch

    torch.set_num_threads(THREADS.torch)
    WAITING.sleep()


@contextmanager
def torch_threads(most: int) -> Iterator[None]:
    """Let torch's operations use at most so many threads meanwhile."""
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
