"""kill -9 of a recording process: what was saved is there, nothing else is, nobody is left, and recording goes on."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from isthmus_datasets.format.images.frames import scan_video
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter

WORKER = Path(__file__).with_name("record_until_killed.py")
TIMEOUT_S = 60


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, str(WORKER), str(tmp_path / "data")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        yield process
        process.kill()


class Recording:
    """One child of the worker: its process ids, and how many episodes it has saved."""

    def __init__(self, worker: subprocess.Popen[bytes]) -> None:
        self._worker, self.saved = worker, 0
        assert worker.stdin
        worker.stdin.write(b"x")
        words = self.line()
        assert words[0] == "processes"
        self.recorder, self.encoder = map(int, words[1:])

    def line(self) -> list[str]:
        assert self._worker.stdout
        words = self._worker.stdout.readline().decode().split()
        assert words, "the worker has ended"
        self.saved += words[0] == "saved"
        return words

    def kill(self) -> None:
        """And count what it had said before."""
        os.kill(self.recorder, signal.SIGKILL)
        while (words := self.line())[0] != "end":
            pass
        assert words == ["end", "-9"]


@contextmanager
def ends(process: int) -> Iterator[None]:
    """The process, which is alive now, has ended soon after the block."""
    descriptor = os.pidfd_open(process)
    try:
        yield
        assert select.select([descriptor], [], [], TIMEOUT_S)[0], "the encoder outlives its recorder"
    finally:
        os.close(descriptor)


def check(root: Path, first: int) -> int:
    """From episode `first` on, everything is whole. Returns how many there are."""
    reader = DatasetReader(root)
    for row in reader.episodes[first:]:
        columns = reader.columns(row.index)
        assert (row.length, row.facts["seed"]) == (12, row.index + 1)
        assert columns["action"].tolist() == [[step, -3] for step in range(12)]
        ((camera, place),) = row.videos.items()
        path = root / reader.info.video_file(camera, place.chunk, place.file)
        grey = scan_video(path, fps=10, sample=range(12)).images.mean(axis=(1, 2, 3))
        np.testing.assert_allclose(grey, 40 + 5 * np.arange(12), atol=3)
    return reader.num_episodes


def test_killed_at_random_moments(worker: subprocess.Popen[bytes], tmp_path: Path):
    """10 kills: after a random step of the first three episodes, and a moment more, which may be while it is saved."""
    root, random, there, half_done = tmp_path / "data", np.random.default_rng(0), 0, 0
    for _ in range(10):
        recording = Recording(worker)
        with ends(recording.encoder):
            for _ in range(random.integers(0, 40)):
                recording.line()
            select.select([], [], [], random.uniform(0, 0.05))
            recording.kill()
        before, safe = there, there + recording.saved
        half_done += any((root / ".recording").rglob("*.mp4*"))
        there = check(root, before)
        assert safe <= there <= safe + 1, "one in progress may have been finished, no more"
        files = {path.name for path in (root / "videos").rglob("*") if path.is_file()}
        assert {f"file-{i:03d}.mp4" for i in range(there)} <= files <= {f"file-{i:03d}.mp4" for i in range(there + 1)}
    assert there > 3, "the kills came too soon for anything to be saved"
    assert half_done > 3, "the kills hardly ever met an episode in progress"
    check(root, 0)
    DatasetWriter.open(root).close()
    assert not (root / ".recording").exists()
