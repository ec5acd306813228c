"""Run by test_disk.py: one process that starts others, each of which is killed at one step more than the one before.

ROOT, "set aside" or "recover": for each byte on the standard input a forked child puts an episode into quarantine, or
saves all that wait there; number n is killed at step n, before or after one of the calls that change what is on the
disk. Its end is printed.
"""

from __future__ import annotations

import itertools
import os
import runpy
import sys
import tempfile
from pathlib import Path

import numpy as np

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.images.video import write_video
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.recording.quarantine import recover, set_aside

_FORMAT = Path(__file__).parents[1] / "format"
die_at = runpy.run_path(str(_FORMAT / "append_until_killed.py"))["die_at"]
RENAMES = ("replace", "unlink", "rmdir")
STEPS = 3


def wait(root: Path, seed: int, step: int | None = None) -> None:
    """Put an episode into quarantine, up to a step."""
    with DatasetWriter.open(root) as writer:
        folder = Path(tempfile.mkdtemp(dir=root.parent))
        video = write_video(folder / "camera.mp4", np.full((STEPS, 32, 32, 3), 4 * seed % 256, np.uint8), fps=10)
        episode = Episode(
            columns={"action": np.full((STEPS, 2), float(seed))},
            videos={"camera": video},
            task="wait",
            facts={"seed": seed, "ending": "time"},
            final={},
        )
        if step is not None:
            die_at(step, ("fsync", *RENAMES))
        set_aside(root, writer.info, episode, folder)


def save(root: Path, step: int) -> None:
    """All that wait, up to a step."""
    with DatasetWriter.open(root) as writer:
        die_at(step, RENAMES)
        recover(writer)


def main() -> None:
    root, do = Path(sys.argv[1]), sys.argv[2]
    for step in itertools.count():
        if not os.read(0, 1):
            return
        pid = os.fork()
        if pid == 0:
            if do == "recover":
                save(root, step)
            else:
                wait(root, seed=step, step=step)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
