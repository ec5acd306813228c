"""Images out of video files: every one, counted; and images as PNG. Depths stay depths, by the file's pixel format."""

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
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from isthmus_datasets.format.images.pixels import (
    PixelError,
    Pixels,
    from_frame,
    has_one_channel,
    is_depth,
    shape_of,
    to_frame,
)
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.lfs import lfs_pointer

TOLERANCE_S = 1e-4
"""How far a frame may be from its row's time: LeRobot's limit."""
_NEAR = 32  # frames: decoding so many is cheaper than another seek


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoFacts:
    """What decoding a whole file gave.

    Args:
        frames: How many were decoded.
        shape: (H, W, 3), or (H, W, 1) of depths.
        misplaced: The first frame that is not at number / fps, or None.
        images: (k, *shape): those asked for.
        info: Codec and format as LeRobot's info.json has it.
    """

    frames: int
    shape: tuple[int, ...]
    misplaced: int | None
    images: Pixels
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
    except PixelError as error:
        raise DatasetError(f"{path} {error}") from error


def scan_video(path: Path, *, fps: int, sample: Sequence[int] | NDArray[np.int64] = ()) -> VideoFacts:
    """Decode the whole file; keep the images whose numbers are in `sample`.

    Raises:
        DatasetError: the file is missing, broken, or holds no frame, or depths asked for are coded into fewer bits.
    """
    wanted, images, misplaced, count = set(map(int, sample)), [], None, 0
    converter = VideoReformatter()
    with open_video(path) as (container, stream):
        for frame in container.decode(stream):
            if misplaced is None and (frame.time is None or abs(frame.time - count / fps) > TOLERANCE_S):
                misplaced = count
            if count in wanted:
                images.append(from_frame(frame, converter=converter))
            count += 1
        if count == 0:
            raise DatasetError(f"{path} holds no frame")
        shape = _shape(stream)
        info = _video_info(container, stream, fps)
    kept = np.stack(images) if images else np.empty((0, *shape), np.uint16 if shape[2] == 1 else np.uint8)
    return VideoFacts(frames=count, shape=shape, misplaced=misplaced, images=kept, info=info)


def _video_info(container: InputContainer, stream: VideoStream, fps: int) -> dict[str, Any]:
    return {
        "video.height": stream.codec_context.height,
        "video.width": stream.codec_context.width,
        "video.codec": stream.codec.canonical_name,
        "video.pix_fmt": stream.codec_context.pix_fmt,
        "video.fps": fps,
        "video.channels": _shape(stream)[2],
        "has_audio": bool(container.streams.audio),
        "is_depth_map": has_one_channel(stream.codec_context.pix_fmt),
    }


def _shape(stream: VideoStream) -> tuple[int, int, int]:
    context = stream.codec_context
    return shape_of(context.height, context.width, context.pix_fmt)


def decoded(path: Path) -> Iterator[av.VideoFrame]:
    """All frames of a file in order.

    Raises:
        DatasetError: the file is missing or broken; the frames before the damage come first.
    """
    with open_video(path) as (container, stream):
        yield from container.decode(stream)


def read_frames(path: Path, numbers: Sequence[int] | NDArray[np.int64], *, fps: int) -> Pixels:
    """The frames at times number / fps, in the order asked for: (k, H, W, 3) uint8 RGB, or (k, H, W, 1) uint16 depths.

    Raises:
        DatasetError: the file is missing, broken, lacks one of them, or has depths coded into fewer bits.
    """
    wanted, converter = np.asarray(numbers, np.int64), VideoReformatter()
    with open_video(path) as (container, stream):
        distinct, shape = np.unique(wanted), _shape(stream)
        images = np.empty((len(distinct), *shape), np.uint16 if shape[2] == 1 else np.uint8)
        for run in np.split(np.arange(len(distinct)), np.flatnonzero(np.diff(distinct) > _NEAR) + 1):
            found = _frames_at(container, stream, distinct[run].tolist(), fps, path)
            for place, frame in zip(run, found, strict=True):
                images[place] = from_frame(frame, converter=converter)
    return images[np.searchsorted(distinct, wanted)]


def stream_frames(
    path: Path, first: int, count: int, *, fps: int, shape: tuple[int, ...], size: tuple[int, int] | None = None
) -> Iterator[Pixels]:
    """The frames from time first / fps on, one after the other: each (H, W, 3) uint8 RGB or (H, W, 1) uint16 depths,
    and at most a few of them in memory.

    Args:
        path: The video.
        first, count: Which.
        fps: Frames a second.
        shape: (H, W, 3), or (H, W, 1) of depths, that they should have.
        size: (H, W) that RGB is scaled to, by the mean of what each pixel covers; None for their own.

    Raises:
        DatasetError: the file is missing, broken, of another shape, lacks one of them, or has depths that are to be
            scaled or coded into fewer bits; the frames before it come first.
    """
    converter = VideoReformatter()
    with open_video(path) as (container, stream):
        found = _shape(stream)
        if found != shape:
            raise DatasetError(f"{path} has frames of shape {found}, declared is {shape}: copy the dataset again")
        for frame in _frames_at(container, stream, range(first, first + count), fps, path):
            yield from_frame(frame, size, converter)


def scaled(image: Pixels, size: tuple[int, int] | None) -> Pixels:
    """An image at another size (H, W), as `from_frame` does it."""
    return image if size in (None, image.shape[:2]) else from_frame(to_frame(image), size)


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


def png(image: Pixels) -> bytes:
    """`image` as a PNG file: (H, W, 3) RGB of 8 bits, or (H, W, 1) depths of 16."""
    height, width, _ = image.shape
    encoder = av.CodecContext.create("png", "w")
    pix_fmt = "gray16be" if is_depth(image) else "rgb24"
    encoder.width, encoder.height, encoder.pix_fmt = width, height, pix_fmt  # type: ignore[attr-defined]
    encoder.time_base = Fraction(1)
    frame = to_frame(image).reformat(format=pix_fmt)
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))  # type: ignore[attr-defined]


def decode_image(content: bytes) -> Pixels:
    """The image of a PNG or JPEG file: (H, W, 3) RGB, or (H, W, 1) uint16 of one that is grey with 16 bits. Raises
    ValueError when it is neither."""
    try:
        with av.open(io.BytesIO(content), "r") as container:
            return from_frame(next(container.decode(video=0)))
    except (FFmpegError, StopIteration) as error:
        raise ValueError(f"is no image: {error}") from error
