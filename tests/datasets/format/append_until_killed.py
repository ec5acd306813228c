"""Run by test_crash.py: one process that starts others, each of which appends episodes until it is killed.

ROOT [steps]: for each byte on the standard input a forked child prints its process id, then the index of every episode
that `append` has returned for; its end is printed as well. With `steps`, child number n kills itself at step n of its
first append: before or after one of the calls that put something on the disk.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.writer import DatasetWriter


def make_episode(index: int, round_: int, *, camera: bool) -> Episode:
    """Length, numbers and grey level tell which round wrote it, so that a mixture of two is seen."""
    length = 2 + (3 * index + round_) % 5
    grey = 20 + (31 * index + 77 * round_) % 200
    return Episode(
        columns={"action": np.full((length, 2), 1000.0 * round_ + index)},
        videos={"camera": np.full((length, 32, 32, 3), grey, np.uint8)} if camera else {},
        task=f"asked in round {round_}",
        facts={"round": round_, "success": True},
        final={},
    )


def die_at(step: int, calls: Sequence[str] = ("fsync", "replace")) -> None:
    """From now on, the `step`-th time that something is about to reach the disk, or just has, is the last."""
    count = 0

    def watched(call: Callable) -> Callable:
        def run(*args, **options):
            tick()
            result = call(*args, **options)
            tick()
            return result

        return run

    def tick() -> None:
        nonlocal count
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    for name in calls:
        setattr(os, name, watched(getattr(os, name)))


def child(root: Path, round_: int, *, by_step: bool) -> None:
    os.write(1, b"process %d\n" % os.getpid())
    with DatasetWriter.open(root) as writer:
        camera = bool(writer.info.cameras)
        if by_step:
            die_at(round_)
        while True:
            index = writer.append(make_episode(writer.num_episodes, round_, camera=camera))
            os.write(1, b"%d\n" % index)
            if by_step:
                os._exit(0)  # all its steps were done before it came to `round_` of them


def main() -> None:
    root, by_step = Path(sys.argv[1]), "steps" in sys.argv[2:]
    for round_ in itertools.count():
        if not os.read(0, 1):
            return
        pid = os.fork()
        if pid == 0:
            child(root, round_, by_step=by_step)
        _, status = os.waitpid(pid, 0)
        os.write(1, b"end %d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
