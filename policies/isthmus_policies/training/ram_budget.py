"""Whether a training fits into memory: known before it starts, rather than when the system ends it."""

from __future__ import annotations

from pathlib import Path

from isthmus_sim.task import Task

COPIES = 5
"""Roll-outs that are held at the peak: the one collected, its batch, a minibatch, its images and activations, with the
worlds themselves. Measured: 120 KB per world of the quadruped, whose roll-out is 27 KB."""


def rollout_bytes(task: Task, horizon: int) -> int:
    """Of one world: observations, actions and their means, reward and flags of `horizon` control steps."""
    return 4 * horizon * (sum(group.size for group in task.groups.values()) + 2 * task.action_size + 3)


def refuse_too_many_worlds(task: Task, num_envs: int, horizon: int, available: int | None = None) -> None:
    """Raise ValueError where `num_envs` worlds in one process need more than `available` bytes, by default what the
    system can still give."""
    each = COPIES * rollout_bytes(task, horizon)
    available = available_bytes() if available is None else available
    if num_envs * each > available:
        raise ValueError(
            f"num_envs {num_envs}: a training of so many worlds of {task.name} needs about "
            f"{num_envs * each / 2**30:.1f} GiB, {available / 2**30:.1f} GiB are free; "
            f"at most {available // each} fit, fewer steps in a roll-out (horizon {horizon}) make room for more"
        )


def available_bytes() -> int:
    """Memory that the system can give without swapping (Linux)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
