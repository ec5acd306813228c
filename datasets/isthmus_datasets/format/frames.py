"""Images out of video files: every one, counted; and images as PNG."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.lfs import lfs_pointer

TOLERANCE_S = 1e-4
"""How far a frame may be from its row's time: LeRobot's limit."""
_SCALING = Interpolation.AREA.value | 0x40000 | 0x2000 | 0x4000
"""swscale's SWS_AREA with SWS_ACCURATE_RND, SWS_FULL_CHR_H_INT and _INP: without these it is one grey level too dark. A
quarter of the time of scaling in RGB, and within a grey level of that."""
_NEAR = 32  # frames: decoding so many is cheaper than another seek


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoFacts:
    """What decoding a whole file gave.

    Args:
        frames: How many were decoded.
        shape: (H, W, 3).
        misplaced: The first frame that is not at number / fps, or None.
        images: (k, H, W, 3) uint8: those asked for.
        info: Codec and format as LeRobot's info.json has it.
    """

    frames: int
    shape: tuple[int, ...]
    misplaced: int | None
    images: NDArray[np.uint8]
    info: dict[str, Any]


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Raises DatasetError that names the file where it is missing or broken; decoding inside the block as well."""
    if not path.is_file():
        raise DatasetError(f"{path} is missing: copy the dataset again, or delete the episode")
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise DatasetError(f"{path} holds no video")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise DatasetError(f"{path} holds a video of no known codec: copy the dataset again")
            stream.codec_context.thread_count = 1  # small images gain nothing, and the robot needs the other cores
            stream.codec_context.options = {"err_detect": "explode"}  # no image made up from half a packet
            yield container, stream
    except FFmpegError as error:
        damage = lfs_pointer(path) or f"{path} is not a whole video ({error}): copy the dataset again"
        raise DatasetError(damage) from error


def scan_video(path: Path, *, fps: int, sample: Sequence[int] | NDArray[np.int64] = ()) -> VideoFacts:
    """Decode the whole file; keep the images whose numbers are in `sample`.

    Raises:
        DatasetError: the file is missing, broken, or holds no frame.
    """
    wanted, images, misplaced, count = set(map(int, sample)), [], None, 0
    with open_video(path) as (container, stream):
        for frame in container.decode(stream):
            if misplaced is None and (frame.time is None or abs(frame.time - count / fps) > TOLERANCE_S):
                misplaced = count
            if count in wanted:
                images.append(frame.to_ndarray(format="rgb24"))
            count += 1
        if count == 0:
            raise DatasetError(f"{path} holds no frame")
        shape = (stream.codec_context.height, stream.codec_context.width, 3)
        info = _video_info(container, stream, fps)
    kept = np.stack(images) if images else np.empty((0, *shape), np.uint8)
    return VideoFacts(frames=count, shape=shape, misplaced=misplaced, images=kept, info=info)


def _video_info(container: InputContainer, stream: VideoStream, fps: int) -> dict[str, Any]:
    return {
        "video.height": stream.codec_context.height,
        "video.width": stream.codec_context.width,
        "video.codec": stream.codec.canonical_name,
        "video.pix_fmt": stream.codec_context.pix_fmt,
        "video.fps": fps,
        "video.channels": 3,
        "has_audio": bool(container.streams.audio),
        "is_depth_map": False,
    }


def decoded(path: Path) -> Iterator[av.VideoFrame]:
    """All frames of a file in order.

    Raises:
        DatasetError: the file is missing or broken; the frames before the damage come first.
    """
    with open_video(path) as (container, stream):
        yield from container.decode(stream)


def read_frames(path: Path, numbers: Sequence[int] | NDArray[np.int64], *, fps: int) -> NDArray[np.uint8]:
    """The frames at times number / fps, in the order asked for: (k, H, W, 3) uint8 RGB.

    Raises:
        DatasetError: the file is missing, broken, or lacks one of them.
    """
    wanted = np.asarray(numbers, np.int64)
    with open_video(path) as (container, stream):
        distinct = np.unique(wanted)
        images = np.empty((len(distinct), stream.codec_context.height, stream.codec_context.width, 3), np.uint8)
        for run in np.split(np.arange(len(distinct)), np.flatnonzero(np.diff(distinct) > _NEAR) + 1):
            found = _frames_at(container, stream, distinct[run].tolist(), fps, path)
            for place, frame in zip(run, found, strict=True):
                images[place] = frame.to_ndarray(format="rgb24")
    return images[np.searchsorted(distinct, wanted)]


def stream_frames(
    path: Path, first: int, count: int, *, fps: int, shape: tuple[int, ...], size: tuple[int, int] | None = None
) -> Iterator[NDArray[np.uint8]]:
    """The frames from time first / fps on, one after the other: each (H, W, 3) uint8 RGB, and at most a few of them in
    memory.

    Args:
        path: The video.
        first, count: Which.
        fps: Frames a second.
        shape: (H, W, 3) that they should have.
        size: (H, W) that they are scaled to, by the mean of what each pixel covers; None for their own.

    Raises:
        DatasetError: the file is missing, broken, of another shape, or lacks one of them; the frames before it come
            first.
    """
    with open_video(path) as (container, stream):
        found = (stream.codec_context.height, stream.codec_context.width, 3)
        if found != shape:
            raise DatasetError(f"{path} has frames of shape {found}, declared is {shape}: copy the dataset again")
        for frame in _frames_at(container, stream, range(first, first + count), fps, path):
            yield _pixels(frame, size)


def scaled(image: NDArray[np.uint8], size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """An image (H, W, 3) at another size (H, W), by the mean of what each pixel covers."""
    if size is None or image.shape[:2] == size:
        return image
    return _pixels(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"), size)


def _pixels(frame: av.VideoFrame, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """(H, W, 3) RGB; a frame that has that size already is converted as everywhere else."""
    if size in (None, (frame.height, frame.width)):
        return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    height, width = size
    pixels = frame.to_ndarray(format="rgb24", height=height, width=width, interpolation=_SCALING)
    return np.asarray(pixels, np.uint8)


def _frames_at(
    container: InputContainer, stream: VideoStream, numbers: Sequence[int], fps: int, path: Path
) -> Iterator[av.VideoFrame]:
    """Decode from the key frame before the first of `numbers` (ascending) to the last."""
    if not numbers:
        return
    assert stream.time_base is not None
    container.seek(round(numbers[0] / fps / stream.time_base), stream=stream)
    left = iter(numbers)
    wanted = next(left)
    for frame in container.decode(stream):
        number = -1 if frame.time is None else round(frame.time * fps)
        if number > wanted:
            break
        if number < wanted:
            continue
        yield frame
        following = next(left, None)
        if following is None:
            return
        wanted = following
    raise DatasetError(f"{path} lacks the frame at {wanted / fps:.3f} s: copy the dataset again")


def png(image: NDArray[np.uint8]) -> bytes:
    """`image` (H, W, 3) RGB as a PNG file."""
    height, width, _ = image.shape
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "rgb24"  # type: ignore[attr-defined]
    encoder.time_base = Fraction(1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))  # type: ignore[attr-defined]


def decode_image(content: bytes) -> NDArray[np.uint8]:
    """The image (H, W, 3) RGB of a PNG or JPEG file. Raises ValueError when it is neither."""
    try:
        with av.open(io.BytesIO(content), "r") as container:
            return np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)
    except (FFmpegError, StopIteration) as error:
        raise ValueError(f"is no image: {error}") from error
