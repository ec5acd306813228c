"""Cameras as devices, files and streams: what an image is, and what is said when there is none."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from refusals import refused

from isthmus_datasets.recording.cameras.camera import CameraImage, look
from isthmus_datasets.recording.cameras.opencv import OpenCVCamera
from isthmus_datasets.recording.cameras.simulated import SimulatedCamera
from isthmus_datasets.recording.robot import CameraError

STREAM = Path(__file__).with_name("stream_images.py")
PATIENCE_S = 15.0


def film(path: Path, frames: int, fps: int = 50) -> Path:
    """MJPEG, 32 × 48: blue, and frame k is 4 k red."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (48, 32))
    for frame in range(frames):
        writer.write(np.full((32, 48, 3), (120, 0, 4 * frame), np.uint8))
    writer.release()
    return path


def play(path: Path, **options: Any) -> OpenCVCamera:
    """A file as a camera. These tests are not about an image's age: a busy machine may be late with one."""
    return OpenCVCamera("scene", path, max_age_s=PATIENCE_S, **options)


def follow_to_the_end(camera: OpenCVCamera) -> tuple[list[CameraImage], str]:
    """Each image once, as it comes (a busy machine may miss some), and what is said when there are no more."""
    images: list[CameraImage] = []
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            image = camera.read()
        except CameraError as ended:
            return images, str(ended)
        if not images or image is not images[-1]:
            images.append(image)
    raise AssertionError("the images did not end")


def error(camera: OpenCVCamera) -> str:
    """What is said once there are no more images."""
    return follow_to_the_end(camera)[1]


def wait_for_images(camera: OpenCVCamera) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            camera.read()
        except CameraError:
            continue
        return
    raise AssertionError("no images again")


def test_a_file_plays_as_a_camera_would_and_then_is_gone(tmp_path):
    start = time.monotonic_ns()
    with closing(play(film(tmp_path / "film.avi", 40), width=48, height=32, fps=50)) as camera:
        images, said = follow_to_the_end(camera)
        assert camera.shape == (32, 48)
    took_s = (time.monotonic_ns() - start) * 1e-9
    assert said == f"camera 'scene': {tmp_path}/film.avi has ended"
    assert 0.75 < took_s < PATIENCE_S, "40 images at 50 Hz"
    red, blue = (np.array([image.pixels[..., channel].mean() for image in images]) for channel in (0, 2))
    assert np.abs(blue - 120).max() < 6
    assert (np.diff(red) > 0).all()
    times = np.array([image.capture_time_ns for image in images])
    assert (np.diff(times) > 0).all()
    assert start < times[0]
    assert times[-1] < start + took_s * 1e9


def test_reading_gives_the_newest_image_and_does_not_wait(tmp_path):
    with closing(play(film(tmp_path / "film.avi", 60, fps=30))) as camera:
        first = camera.read()
        while camera.read() is first:
            pass
        reads = [camera.read() for _ in range(100)]
    assert len({id(image) for image in reads}) <= 3, "100 reads take less than the time of three images"


def test_what_is_asked_for_must_be_given(tmp_path):
    path = film(tmp_path / "film.avi", 5)
    with refused("width 48 instead of 64 | fps 50 instead of 60", CameraError):
        OpenCVCamera("scene", path, width=64, height=32, fps=60)


@pytest.mark.parametrize("source", [63, "missing.mp4"])
def test_a_camera_that_is_not_there(source):
    with refused(f"'wrist' | {source} | Devices here", CameraError):
        OpenCVCamera("wrist", source)


def test_a_file_that_is_no_video(tmp_path):
    path = tmp_path / "notes.mp4"
    path.write_text("not a video")
    with refused("'wrist' | cannot open | notes.mp4", CameraError):
        OpenCVCamera("wrist", path)


@pytest.fixture
def network_camera() -> Iterator[Callable[[str], tuple[subprocess.Popen[str], str]]]:
    """`network_camera(port)` starts one on that port ("0": a free one): its process, and the port."""
    started = []

    def start(port: str = "0") -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen([sys.executable, STREAM, port], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_stream_that_stalls_or_breaks_is_told_in_time_and_goes_on_when_it_is_back(network_camera):
    process, port = network_camera()
    with closing(OpenCVCamera("net", f"http://127.0.0.1:{port}/", max_age_s=0.4)) as camera:
        assert camera.read().pixels[16, 24] == pytest.approx((200, 0, 0), abs=6)

        process.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        assert "stalled: check its cable" in error(camera)
        assert 0.2 < time.monotonic() - start < 3.0
        process.send_signal(signal.SIGCONT)
        wait_for_images(camera)

        process.kill()
        process.wait()
        start = time.monotonic()
        assert "camera 'net'" in error(camera)
        assert time.monotonic() - start < 3.0
        network_camera(port)
        wait_for_images(camera)


class World:
    """A grey that changes, and its time."""

    grey, time_ns = 10, 5

    def draw(self) -> np.ndarray:
        return np.full((4, 6, 3), self.grey, np.uint8)

    def clock(self) -> int:
        return self.time_ns


def test_a_simulated_camera_draws_the_world_as_it_is():
    world = World()
    camera = SimulatedCamera("scene", world.draw, world.clock)
    images, times = look({"scene": camera})
    world.grey, world.time_ns = 20, 6
    again = camera.read()
    assert camera.shape == (4, 6)
    assert (images["scene"] == 10).all()
    assert times == {"scene": 5}
    assert (again.pixels == 20).all()
    assert again.capture_time_ns == 6


def test_a_simulated_camera_keeps_its_size():
    sizes = iter([(4, 6, 3), (4, 7, 3)])
    camera = SimulatedCamera("scene", lambda: np.zeros(next(sizes), np.uint8), lambda: 0)
    with refused("(4, 7, 3) | (4, 6, 3)", CameraError):
        camera.read()


def test_a_simulated_camera_must_draw_bytes_in_colour():
    with refused("float64 (4, 6, 3) | uint8", CameraError):
        SimulatedCamera("scene", lambda: np.zeros((4, 6, 3)), lambda: 0)  # type: ignore[arg-type]
