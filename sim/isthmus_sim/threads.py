"""How the cores are shared: the one place that decides.

Physics and torch take turns within a control step, never at once, so each may use every core. torch gets at most two
threads: networks of this size gain nothing from more. Measured on 2 cores in docs/results/quadrotor.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class ThreadBudget:
    """Threads for physics (`mujoco.batch.Batch`) and for torch's operations."""

    physics: int
    torch: int


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


THREADS = ThreadBudget(physics=cores(), torch=min(2, cores()))


def use_thread_budget() -> None:
    """Give torch its share. Programs call this once, before the first tensor operation."""
    torch.set_num_threads(THREADS.torch)
