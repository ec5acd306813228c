"""How the cores are shared: the one place that decides.

Physics and torch take turns within a control step, so each may use every core; but after a parallel operation torch's
threads spin for a while, on cores that the physics' threads need. So torch has one thread while worlds are stepped
(`one_torch_thread`: its operations are small there), and at most two while a policy is improved: networks of this size
gain nothing from more. Measured on 2 cores in docs/results/quadrotor.md and training_speed.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class ThreadBudget:
    """Threads for physics (`mujoco.batch.Batch`) and for torch's operations."""

    physics: int
    torch: int


def cores() -> int:
    """CPU cores that this process may use: its part of them, where torchrun started several processes."""
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


THREADS = ThreadBudget(physics=cores(), torch=min(2, cores()))


def use_thread_budget() -> None:
    """Give torch its share. Programs call this once, before the first tensor operation."""
    torch.set_num_threads(THREADS.torch)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """While worlds are stepped."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
