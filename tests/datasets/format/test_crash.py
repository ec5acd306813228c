"""kill -9 at any moment: whatever `append` has returned for is there, whole, and appending goes on."""

from __future__ import annotations

import os
import runpy
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.images.frames import scan_video
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter

WORKER = Path(__file__).with_name("append_until_killed.py")
STATE: Features = {"action": Feature(dtype="float64", shape=(2,))}
CAMERA: Features = STATE | {"camera": Feature(dtype="video", shape=(32, 32, 3))}


make_episode = runpy.run_path(str(WORKER))["make_episode"]


class Worker:
    """The process, its lines, and how many episodes it says are safe."""

    def __init__(self, *args: str) -> None:
        command = [sys.executable, str(WORKER), *args]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._buffer, self.safe = b"", 0

    def start(self) -> int:
        """Have it start a child that appends; returns the child's process id."""
        assert self.process.stdin
        self.process.stdin.write(b"x")
        line = self._line(60)
        assert line
        assert line.startswith("process ")
        return int(line.split()[1])

    def watch(self, seconds: float) -> str | None:
        """Count what is appended, in order, for so long or until the child's end, which is returned."""
        deadline = time.monotonic() + seconds
        while (line := self._line(deadline - time.monotonic())) is not None:
            if line.startswith("end "):
                return line
            assert int(line) == self.safe, "indices go on where they were"
            self.safe += 1
        return None

    def _line(self, seconds: float) -> str | None:
        """The next line, or None when there was none in so many seconds."""
        assert self.process.stdout
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self.process.stdout], [], [], left)[0]:
                return None
            data = os.read(self.process.stdout.fileno(), 4096)
            assert data, "the process ended early"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()


@pytest.fixture
def worker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Worker]:
    features, *arguments = request.param
    DatasetWriter.create(tmp_path / "data", fps=10, features=features).close()
    started = Worker(str(tmp_path / "data"), *arguments)
    yield started
    started.process.kill()
    started.process.communicate()


def check(root: Path, first: int, acknowledged: int) -> int:
    """Everything acknowledged is there and, from episode `first` on, whole. Returns how many episodes there are."""
    reader = DatasetReader(root)
    assert acknowledged <= reader.num_episodes <= acknowledged + 1, "one in progress may have been finished, no more"
    for row in reader.episodes[first:]:
        round_ = row.facts["round"]
        made = make_episode(row.index, round_, camera=bool(reader.info.cameras))
        got = reader.episode(row.index)
        np.testing.assert_array_equal(got.columns["action"], made.columns["action"])
        assert (got.length, got.task) == (made.length, made.task)
        for camera, place in row.videos.items():
            path = root / reader.info.video_file(camera, place.chunk, place.file)
            assert scan_video(path, fps=10).frames == row.length
            difference = reader.frames(row.index, camera).astype(int) - made.videos[camera]
            assert np.abs(difference).max() <= 6, "the image of another round"
    assert reader.info.total_frames == sum(row.length for row in reader.episodes)
    return reader.num_episodes


@pytest.mark.parametrize("worker", [(STATE,), (CAMERA,)], indirect=True, ids=["state", "camera"])
def test_killed_at_random_moments(worker: Worker, tmp_path: Path):
    """25 kills in each of two datasets, up to two appends after the process has begun."""
    root, random = tmp_path / "data", np.random.default_rng(0)
    there, half_done, append_s = 0, 0, 0.05
    for _ in range(25):
        process, began, before = worker.start(), time.monotonic(), there
        assert worker.watch(float(random.uniform(0, 2 * append_s))) is None
        os.kill(process, signal.SIGKILL)
        lived_s = time.monotonic() - began
        assert worker.watch(60) == "end -9"
        half_done += (root / ".staging").exists()
        worker.safe = there = check(root, before, worker.safe)
        done = there - before
        append_s = lived_s / done if done else 1.5 * append_s  # the machine may be busy
    assert there > 5, "the kills came too soon for anything to be appended"
    assert half_done > 5, "the kills hardly ever met an append"
    check(root, 0, there)
    with DatasetWriter.open(root) as writer:
        assert writer.append(make_episode(there, 99, camera=bool(writer.info.cameras))) == there
    assert not (root / ".staging").exists()


@pytest.mark.parametrize("worker", [(STATE, "steps"), (CAMERA, "steps")], indirect=True, ids=["state", "camera"])
def test_killed_at_every_step(worker: Worker, tmp_path: Path):
    """Before and after every flush and rename of an append, in order, each in a process of its own."""
    root, there, finished, kills, end = tmp_path / "data", 0, 0, 0, None
    while end != "end 0":
        worker.start()
        end = worker.watch(60)
        assert end in ("end -9", "end 0")
        before, acknowledged = there, worker.safe
        worker.safe = there = check(root, before, acknowledged)
        finished += there > acknowledged
        kills += end == "end -9"
    assert kills > 20
    assert 0 < finished <= 4, "committed by the rename of info.json, and so only the steps behind it keep the episode"
    check(root, 0, there)
