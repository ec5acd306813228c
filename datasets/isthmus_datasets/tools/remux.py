"""Putting videos together and cutting them without encoding anything anew."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import cast

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from isthmus_datasets.format.files import not_written
from isthmus_datasets.format.images.frames import open_video, scan_video
from isthmus_datasets.format.info import DatasetError


class VideoJoiner:
    """Puts videos of the same rate behind one another in one mp4 file. A context manager; at its end the file is whole,
    decoded and counted.

    Args:
        path: The file to write.
        fps: Frames per second.
    """

    def __init__(self, path: Path, *, fps: int) -> None:
        self.path, self.fps = path, fps
        self.frames, self.size = 0, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container: OutputContainer = av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})
        self._stream: VideoStream | None = None
        self._format: tuple | None = None

    def takes(self, source: Path) -> bool:
        """Whether `source` is encoded as the first one was; another needs a file of its own."""
        with open_video(source) as (_, stream):
            return self._format in (None, _format(stream))

    def add(self, source: Path, *, first: int = 0, count: int | None = None) -> None:
        """Append frames `first` to `first + count` of `source`; None for all to its end.

        Raises:
            DatasetError: `source` is missing or broken, `takes` it not, or has no key frame where the part begins.
            OSError: the file cannot be written.
        """
        with open_video(source) as (container, stream):
            self._start(stream)
            packets = _packets(container, stream, first, count, self.fps)
            if not packets or not packets[0].is_keyframe:
                raise DatasetError(f"{source} has no key frame at frame {first}: encode it anew")
            try:
                self._mux(packets, stream, shift_s=(self.frames - first) / self.fps)
            except FFmpegError as error:
                raise not_written(self.path, error) from error
        self.frames += len(packets)

    def _start(self, stream: VideoStream) -> None:
        if self._stream is None:
            self._stream, self._format = _add_stream(self._container, stream), _format(stream)
        if self._format != _format(stream):
            raise DatasetError(f"{stream.container.name} is encoded in another way than the rest of {self.path}")

    def _mux(self, packets: list[Packet], stream: VideoStream, *, shift_s: float) -> None:
        assert self._stream
        assert stream.time_base
        shift = round(shift_s / stream.time_base)
        for packet in packets:
            assert packet.pts is not None
            assert packet.dts is not None
            packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, self._stream
            self.size += packet.size
            self._container.mux(packet)

    def __enter__(self) -> VideoJoiner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._container.close()
        except FFmpegError as failure:
            raise not_written(self.path, failure) from failure
        if kind is None:
            self._check()

    def _check(self) -> None:
        facts = scan_video(self.path, fps=self.fps)
        if facts.frames != self.frames or facts.misplaced is not None:
            problem = f"has {facts.frames} frames when decoded, put in were {self.frames}"
            raise DatasetError(f"{self.path} {problem}: check the sources")


def cut_video(source: Path, target: Path, *, first: int, count: int, fps: int) -> Path:
    """Frames `first` to `first + count` of `source` as a file of its own; raises as `VideoJoiner.add`."""
    with VideoJoiner(target, fps=fps) as joiner:
        joiner.add(source, first=first, count=count)
    return target


def _add_stream(container: OutputContainer, like: VideoStream) -> VideoStream:
    """A stream for the packets of another. FFmpeg's decoder of AV1 is no encoder, so it cannot be a template: LeRobot's
    videos are AV1."""
    context = like.codec_context
    if context.codec.name == context.codec.canonical_name:
        return container.add_stream_from_template(like)
    name, size = context.codec.canonical_name, {"width": context.width, "height": context.height}
    return cast(VideoStream, container.add_mux_stream(name, rate=like.average_rate, **size))


def _format(stream: VideoStream) -> tuple:
    """What must agree for two videos to share one file."""
    context = stream.codec_context
    return (context.codec.canonical_name, context.width, context.height, context.pix_fmt, context.extradata)


def _packets(container, stream: VideoStream, first: int, count: int | None, fps: int) -> list[Packet]:
    """Those of frames `first` to `first + count`, in the order of the file."""
    assert stream.time_base
    tick = fps * stream.time_base
    if first:
        container.seek(round(first / tick), stream=stream)
    found: list[Packet] = []
    for packet in container.demux(stream):
        if packet.pts is None or packet.dts is None:
            continue
        number = round(packet.pts * tick)
        if count is not None and number >= first + count and packet.is_keyframe:
            break
        if first <= number and (count is None or number < first + count):
            found.append(packet)
    return found
