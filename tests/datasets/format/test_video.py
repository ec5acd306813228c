"""Video files: every frame is there, and a file appears only when it is whole."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from refusals import refused

from isthmus_datasets.format.images.frames import read_frames, stream_frames
from isthmus_datasets.format.images.pixels import from_frame
from isthmus_datasets.format.images.video import VideoWriter, write_video


def gradients(n: int, height: int = 48, width: int = 64) -> np.ndarray:
    """(n, height, width, 3) uint8: a bright bar that moves to the right on a dark ground."""
    frames = np.full((n, height, width, 3), 30, np.uint8)
    for i, frame in enumerate(frames):
        frame[:, 2 * i : 2 * i + 8] = (220, 60, 40)
    return frames


def test_every_frame_comes_back_at_the_constant_rate(tmp_path: Path):
    frames = gradients(23)
    path = write_video(tmp_path / "made" / "bar.mp4", frames, fps=30)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 30
        decoded = list(container.decode(video=0))
    assert len(decoded) == len(frames)
    assert [frame.time for frame in decoded] == pytest.approx(np.arange(23) / 30)
    images = np.stack([frame.to_ndarray(format="rgb24") for frame in decoded]).astype(float)
    assert np.abs(images - frames).mean() < 8, "compression loses detail, not the image"
    assert [path.name for path in path.parent.iterdir()] == ["bar.mp4"]


@pytest.mark.parametrize("lossless", [False, True])
def test_readers_see_what_pyav_decodes(tmp_path: Path, lossless: bool):
    frames = np.random.default_rng(0).integers(0, 256, (7, 48, 62, 3), np.uint8)
    with VideoWriter(path := tmp_path / "noise.mp4", fps=30, lossless=lossless) as video:
        for frame in frames:
            video.write(frame)
    with av.open(str(path)) as container:
        decoded = list(container.decode(video=0))
    expected = np.stack([frame.to_ndarray(format="rgb24") for frame in decoded])
    assert np.array_equal(np.stack([*stream_frames(path, 0, 7, fps=30, shape=(48, 62, 3))]), expected)
    assert np.array_equal(read_frames(path, [6, 0, 3], fps=30), expected[[6, 0, 3]])
    small = np.stack([from_frame(frame, (24, 31)) for frame in decoded])
    assert np.array_equal(np.stack([*stream_frames(path, 0, 7, fps=30, shape=(48, 62, 3), size=(24, 31))]), small)


def test_an_error_leaves_the_previous_video(tmp_path: Path):
    path = write_video(tmp_path / "bar.mp4", gradients(3), fps=30)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="camera"), VideoWriter(path, fps=30) as video:  # noqa: PT012
        video.write(gradients(1)[0])
        raise RuntimeError("camera is gone")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        ([], "one frame"),
        ([np.zeros((48, 63, 3), np.uint8)], "even | 63 × 48"),
        ([np.zeros((48, 64, 3), np.float32)], "uint8 | float32"),
        ([np.zeros((48, 64), np.uint8)], "uint8 | (48, 64)"),
        ([np.zeros((48, 64, 3), np.uint8), np.zeros((48, 66, 3), np.uint8)], "frame 1"),
    ],
)
def test_bad_frames_are_refused(tmp_path: Path, frames: list[np.ndarray], told: str):
    with refused(told, ValueError):
        write_video(tmp_path / "bar.mp4", frames, fps=30)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "fps", "told"), [("bar.avi", 30, ".mp4"), ("bar.mp4", 0, "positive")])
def test_bad_settings_are_refused(tmp_path: Path, name: str, fps: int, told: str):
    with refused(told, ValueError):
        VideoWriter(tmp_path / name, fps=fps)
