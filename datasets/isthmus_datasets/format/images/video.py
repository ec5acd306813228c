"""Video files, whole or not there: H.264 that every browser plays, or without loss."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from isthmus_datasets.format.images.pixels import DEPTH, Pixels, is_depth, to_frame

Frame = NDArray[np.uint8]
"""One image: (height, width, 3), RGB."""


class VideoWriter:
    """Writes frames to an MP4 file at a constant rate, its index at the front. Images (H, W, 3) uint8 RGB become H.264:
    yuv420p, or RGB without loss. Depths (H, W, 1) uint16 become FFV1, which is without loss.

    A context manager. The file appears under its name only when the block ends without an exception; otherwise what
    was there before stays.

    Args:
        path: The file to write, ending in .mp4. Missing folders are made.
        fps: Frames per second.
        crf: x264's constant rate factor: 18 can hardly be told from the source, 28 is small.
        key_every: For reading single frames: every so many frames one is whole, and none needs a later one. Frames are
            stored in the order of time. None leaves it to the encoder, which makes the smallest files.
        lossless: Keep every value of RGB. A file so made is several times as large, and few browsers play it.

    Raises:
        ValueError: the name does not end in .mp4, or the rate is not positive.
    """

    def __init__(
        self, path: Path, *, fps: int, crf: int = 23, key_every: int | None = None, lossless: bool = False
    ) -> None:
        if path.suffix != ".mp4":
            raise ValueError(f"a video's name ends in .mp4, not {path.name!r}")
        if fps <= 0:
            raise ValueError(f"fps must be positive, not {fps}")
        self.path, self.fps, self.frames = path, fps, 0
        self._crf, self._lossless = crf, lossless
        self._keys = {} if key_every is None else {"g": str(key_every), "bf": "0"}
        self._kind = ""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._partial = path.with_name(f".{path.name}.partial")
        self._container: OutputContainer = av.open(
            str(self._partial), "w", format="mp4", options={"movflags": "faststart"}
        )
        self._stream: VideoStream | None = None

    def write(self, frame: Pixels) -> None:
        """Append one image; the first one fixes the size.

        Raises:
            ValueError: neither uint8 RGB nor uint16 depths, of another kind or size than the first, or with a side that
                is not even where there is loss (yuv420p halves colour).
        """
        kind = f"{frame.dtype} {frame.shape}"
        if self._stream is None:
            self._stream, self._kind = self._start(frame), kind
        if kind != self._kind:
            raise ValueError(f"frame {self.frames} is {kind}, the first was {self._kind}")
        for packet in self._stream.encode(to_frame(frame)):
            self._container.mux(packet)
        self.frames += 1

    def _start(self, frame: Pixels) -> VideoStream:
        depth = is_depth(frame)
        if frame.ndim != 3 or not (depth or (frame.dtype == np.uint8 and frame.shape[2] == 3)):
            wanted = "uint8 (height, width, 3), or of depths uint16 (height, width, 1)"
            raise ValueError(f"a frame is {wanted}, not {frame.dtype} {frame.shape}")
        height, width, _ = frame.shape
        if (height % 2 or width % 2) and not (depth or self._lossless):
            raise ValueError(f"width and height must be even, not {width} × {height}, unless without loss")
        codec, pix_fmt, options = self._encoding(depth)
        stream = self._container.add_stream(codec, rate=self.fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.time_base = Fraction(1, self.fps)
        return stream

    def _encoding(self, depth: bool) -> tuple[Literal["ffv1", "libx264rgb", "libx264"], str, dict[str, str]]:
        """Encoder, pixel format and options."""
        if depth:
            return "ffv1", DEPTH, self._keys
        options = {"preset": "veryfast", **self._keys}
        if self._lossless:
            return "libx264rgb", "rgb24", {"crf": "0", **options}
        return "libx264", "yuv420p", {"crf": str(self._crf), **options}

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


def write_video(
    path: Path,
    frames: Iterable[Pixels],
    *,
    fps: int,
    crf: int = 23,
    key_every: int | None = None,
    lossless: bool = False,
) -> Path:
    """Write all `frames`; returns `path`. Arguments and errors are `VideoWriter`'s."""
    with VideoWriter(path, fps=fps, crf=crf, key_every=key_every, lossless=lossless) as video:
        for frame in frames:
            video.write(frame)
    return path
