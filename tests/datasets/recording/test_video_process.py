"""Encoding in another process: every image in order, room that is waited for, and nothing half done."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from isthmus_datasets.format.images.frames import read_frames, scan_video
from isthmus_datasets.recording.encoding import video_process
from isthmus_datasets.recording.encoding.video_process import VideoError, VideoProcess

SLOTS = 3


@pytest.fixture(scope="module")
def process() -> Iterator[VideoProcess]:
    process = VideoProcess((16, 32, 3), fps=10, slots=SLOTS)
    yield process
    process.close()
    assert not process.alive


def grey(number: int) -> np.ndarray:
    return np.full((16, 32, 3), 30 + 4 * number, np.uint8)


def test_every_image_in_order_through_a_small_ring(process: VideoProcess, tmp_path: Path):
    image = np.empty((16, 32, 3), np.uint8)
    for name in ("one", "two"):
        process.begin(tmp_path / f"{name}.mp4")
        for number in range(50):
            image[:] = grey(number)  # as a camera that always writes to the same memory
            process.write(image)
        process.finish()
        images = read_frames(tmp_path / f"{name}.mp4", range(50), fps=10)
        np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), 30 + 4 * np.arange(50), atol=2)
        assert scan_video(tmp_path / f"{name}.mp4", fps=10).frames == 50


def test_the_newest_image_can_be_taken_back(process: VideoProcess, tmp_path: Path):
    process.begin(tmp_path / "film.mp4")
    for number in range(5):
        process.write(grey(number))
    np.testing.assert_array_equal(process.take_back(), grey(4))
    process.finish()
    images = read_frames(tmp_path / "film.mp4", range(4), fps=10)
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), 30 + 4 * np.arange(4), atol=2)
    assert scan_video(tmp_path / "film.mp4", fps=10).frames == 4


def test_an_abandoned_video_leaves_nothing(process: VideoProcess, tmp_path: Path):
    for images in (0, 1, 7):
        process.begin(tmp_path / "film.mp4")
        for number in range(images):
            process.write(grey(number))
        process.abandon()
        assert not list(tmp_path.iterdir())
    process.abandon()
    assert process.alive


def test_nothing_is_abandoned_before_the_process_is_ready(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """A recorder that is stopped at once: its encoder goes on, and says nothing."""
    process = VideoProcess((16, 32, 3), fps=10, slots=SLOTS)
    process.abandon()
    process.begin(tmp_path / "film.mp4")
    process.write(grey(0))
    process.finish()
    process.close()
    assert scan_video(tmp_path / "film.mp4", fps=10).frames == 1
    assert capfd.readouterr() == ("", "")


def test_a_video_that_cannot_be_written(process: VideoProcess, tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    process.begin(tmp_path / "file" / "film.mp4")
    with refused("could not write | file/film.mp4", VideoError):
        process.finish()
    process.abandon()
    process.begin(tmp_path / "empty.mp4")
    with refused("empty.mp4 | one frame", VideoError):
        process.finish()
    process.abandon()
    process.begin(tmp_path / "film.mp4")
    process.write(grey(0))
    process.finish()
    assert scan_video(tmp_path / "film.mp4", fps=10).frames == 1


def test_an_image_waits_for_room(process: VideoProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """While the encoder stands still, as many as there are slots are taken, and no more; then it goes on."""
    process.begin(tmp_path / "film.mp4")
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    monkeypatch.setattr(video_process, "PATIENCE_S", 0.05)
    for number in range(SLOTS):
        process.write(grey(number))
    with refused("film.mp4 | not answered", VideoError):
        process.write(grey(SLOTS))
    monkeypatch.undo()
    os.kill(process.pid, signal.SIGCONT)
    for number in range(SLOTS, 9):
        process.write(grey(number))
    process.finish()
    images = read_frames(tmp_path / "film.mp4", range(9), fps=10)
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), 30 + 4 * np.arange(9), atol=2)
    assert scan_video(tmp_path / "film.mp4", fps=10).frames == 9


def test_a_process_that_is_killed_is_reported(tmp_path: Path):
    process = VideoProcess((16, 32, 3), fps=10, slots=SLOTS)
    process.begin(tmp_path / "film.mp4")
    process.write(grey(0))
    os.kill(process.pid, signal.SIGKILL)
    with refused("film.mp4 | exit code -9", VideoError):
        process.finish()
    process.abandon()
    assert not process.alive
    assert not (tmp_path / "film.mp4").exists()


ORPHAN_MAKER = """
import os, signal, sys
from isthmus_datasets.recording.encoding.video_process import VideoProcess

process = VideoProcess((16, 32, 3), fps=10, slots=3)
helper = os.fork()
if helper == 0:
    signal.pause()
print(process.pid, helper, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_no_process_is_left_even_when_another_holds_its_pipe():
    """A helper of the recorder, made by fork, has all its pipes, and may live on."""
    with subprocess.Popen([sys.executable, "-c", ORPHAN_MAKER], stdout=subprocess.PIPE) as recorder:
        assert recorder.stdout
        encoder, helper = map(int, recorder.stdout.readline().split())
        try:
            descriptor = os.pidfd_open(encoder)
            assert select.select([descriptor], [], [], 60)[0], "the encoder outlives its recorder"
            os.close(descriptor)
        finally:
            os.kill(helper, signal.SIGKILL)
