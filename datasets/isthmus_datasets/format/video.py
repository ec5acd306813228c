"""Video files: H.264 that every browser plays, whole or not there."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
"""One image: (height, width, 3), RGB."""


class VideoWriter:
    """Writes frames to an MP4 file at a constant rate: H.264, yuv420p, its index at the front.

    A context manager. The file appears under its name only when the block ends without an exception; otherwise what
    was there before stays.

    Args:
        path: The file to write, ending in .mp4. Missing folders are made.
        fps: Frames per second.
        crf: x264's constant rate factor: 18 can hardly be told from the source, 28 is small.
        key_every: For reading single frames: every so many frames one is whole, and none needs a later one. Frames are
            stored in the order of time. None leaves it to x264, which makes the smallest files.

    Raises:
        ValueError: the name does not end in .mp4, or the rate is not positive.
    """

    def __init__(self, path: Path, *, fps: int, crf: int = 23, key_every: int | None = None) -> None:
        if path.suffix != ".mp4":
            raise ValueError(f"a video's name ends in .mp4, not {path.name!r}")
        if fps <= 0:
            raise ValueError(f"fps must be positive, not {fps}")
        self.path, self.fps, self.frames = path, fps, 0
        self._options = {"crf": str(crf), "preset": "veryfast"}
        if key_every is not None:
            self._options |= {"g": str(key_every), "bf": "0"}
        self._shape: tuple[int, ...] | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        self._partial = path.with_name(f".{path.name}.partial")
        self._container: OutputContainer = av.open(
            str(self._partial), "w", format="mp4", options={"movflags": "faststart"}
        )
        self._stream: VideoStream | None = None

    def write(self, frame: Frame) -> None:
        """Append one image; the first one fixes the size.

        Raises:
            ValueError: not uint8 RGB, another size than the first, or a side that is not even (yuv420p halves colour).
        """
        if self._stream is None:
            self._stream = self._start(frame)
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ValueError(f"frame {self.frames} is {frame.dtype} {frame.shape}, the first was uint8 {self._shape}")
        for packet in self._stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
            self._container.mux(packet)
        self.frames += 1

    def _start(self, frame: Frame) -> VideoStream:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"a frame is uint8 (height, width, 3), not {frame.dtype} {frame.shape}")
        height, width, _ = frame.shape
        if height % 2 or width % 2:
            raise ValueError(f"width and height must be even, not {width} × {height}")
        stream = self._container.add_stream("libx264", rate=self.fps, options=self._options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, self.fps)
        self._shape = frame.shape
        return stream

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._container.close()
            self._partial.unlink(missing_ok=True)

    def _finish(self) -> None:
        if self._stream is None:
            raise ValueError(f"{self.path}: a video needs at least one frame")
        for packet in self._stream.encode():
            self._container.mux(packet)
        self._container.close()
        self._partial.replace(self.path)


def write_video(path: Path, frames: Iterable[Frame], *, fps: int, crf: int = 23, key_every: int | None = None) -> Path:
    """Write all `frames`; returns `path`. Arguments and errors are `VideoWriter`'s."""
    with VideoWriter(path, fps=fps, crf=crf, key_every=key_every) as video:
        for frame in frames:
            video.write(frame)
    return path
