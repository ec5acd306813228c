"""Whether a training fits into memory: known before it starts, rather than when the system ends it."""

from __future__ import annotations

from pathlib import Path


def refuse_too_many_worlds(task: str, num_envs: int, world_bytes: int, available: int | None = None) -> None:
    """Raise ValueError where `num_envs` worlds of `task` in one process, each taking `world_bytes`, need more than
    `available` bytes, by default what the system can still give."""
    available = available_bytes() if available is None else available
    if num_envs * world_bytes > available:
        raise ValueError(
            f"num_envs {num_envs}: a training of so many worlds of {task} needs about "
            f"{num_envs * world_bytes / 2**30:.1f} GiB, {available / 2**30:.1f} GiB are free; "
            f"at most {available // world_bytes} fit; shorter roll-outs or a smaller replay make room for more"
        )


def available_bytes() -> int:
    """Memory that the system can give without swapping (Linux)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
