"""Videos decoded by processes: the same frames, and an error that names the episode where one cannot."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.training import frame_cache
from isthmus_datasets.training.decoder import Decoder, Job
from isthmus_datasets.training.frame_cache import FrameCache


@pytest.fixture
def by_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few frames there are."""
    monkeypatch.setattr(frame_cache, "_MANY", 0)


def job(reader: DatasetReader, episode: int) -> Job:
    """One of the camera "front", to the beginning of the file."""
    video, first = reader.video_start(episode, "front")
    count = reader.episodes[episode].length
    return Job(
        episode=f"episode {episode}", video=str(video), first=first, count=count, fps=10,
        shape=(16, 32, 3), size=(16, 32), place=0,
    )  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """A file of frames and one to lock, both open."""
    with (tmp_path / "frames").open("w+b") as frames, (tmp_path / "lock").open("a") as lock:
        yield frames.fileno(), lock.fileno()


@pytest.mark.parametrize("size", [(16, 32), (8, 8)])
def test_processes_write_what_threads_write(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
):
    reader = DatasetReader(root)
    written = []
    for many in (0, 10**9):
        monkeypatch.setattr(frame_cache, "_MANY", many)
        cache = FrameCache(reader, "front", size=size, cache=tmp_path / str(many))
        cache.prepare(reader, range(reader.num_episodes))
        written.append(cache.frames)
    np.testing.assert_array_equal(*written)
    assert written[0].shape == (11, 3, *size)
    assert written[0].max() > 0


@pytest.mark.usefixtures("by_processes")
def test_a_damaged_video_is_named_and_can_be_mended(root: Path):
    damaged = root / "videos/front/chunk-000/file-001.mp4"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:300])
    reader = DatasetReader(root)
    with refused("data | episode 1 | file-001.mp4 | no video"):
        FrameCache(reader, "front").prepare(reader, range(3))
    damaged.write_bytes(whole)
    FrameCache(reader, "front").prepare(reader, range(3))


def test_a_decoder_that_died_is_an_error_that_names_the_episode(root: Path, files: tuple[int, int]):
    reader, decoder = DatasetReader(root), Decoder(*files)
    try:
        decoder.run(job(reader, 0))
        os.kill(decoder.pid, signal.SIGKILL)
        with refused("episode 2 | -9"):
            decoder.run(job(reader, 2))
    finally:
        decoder.close()


DIES = """
import os, signal, sys
from isthmus_datasets.training.decoder import Decoder
decoder = Decoder(int(sys.argv[1]), int(sys.argv[2]))
os.kill(decoder.pid, signal.SIGSTOP)
print(decoder.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nobody_else_may_write_until_the_decoder_of_a_killed_process_has_ended(tmp_path: Path):
    files = [os.open(tmp_path / name, os.O_CREAT | os.O_RDWR) for name in ("frames", "lock")]
    fcntl.flock(files[1], fcntl.LOCK_EX)
    parent = subprocess.run(
        [sys.executable, "-c", DIES, *map(str, files)], pass_fds=files, stdout=subprocess.PIPE, text=True, check=False
    )
    assert parent.returncode == -signal.SIGKILL
    for file in files:
        os.close(file)  # as its end has closed the parent's
    with (tmp_path / "lock").open("a") as another:
        with pytest.raises(BlockingIOError):
            fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(int(parent.stdout), signal.SIGCONT)
        fcntl.flock(another, fcntl.LOCK_EX)  # returns when it has ended
