"""What a camera showed: every frame looked at once, when it is decoded, and only a few numbers of it kept. Depths are
in mm where grey levels are of RGB."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from isthmus_datasets.format.images.frames import TOLERANCE_S, decoded
from isthmus_datasets.format.images.pixels import (
    DEPTH,
    PixelError,
    Pixels,
    from_frame,
    has_one_channel,
    shape_of,
    to_frame,
)
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.statistics import MAX_SIDE, image_statistics, sampled

BLOCK = 8  # px: small enough for a gripper in a 96 px image, large enough to average a sensor's noise away
CHANGE = (
    4  # grey levels of a block: an unchanging image stays below it through H.264 (crf 30), anything moving does not
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Footage:
    """One camera in one episode: n frames.

    Args:
        shape: (H, W, 3), or (H, W, 1) of depths.
        misplaced: The first frame that is not at number / fps after the episode's start, or None.
        darkest, brightest: (n,) grey level 0 … 255, or mm, of the darkest and brightest block of `BLOCK` × `BLOCK` px.
        unchanged: (n,) for how many frames no block has changed by more than `CHANGE`, of depths at all; 0 at a change.
        statistics: Statistics of sampled frames, as in meta/stats.json.
        thumbnails: (3, h, w, 3) uint8 RGB: beginning, middle, end; None where they were not asked for.
    """

    shape: tuple[int, ...]
    misplaced: int | None
    darkest: NDArray[np.uint16]
    brightest: NDArray[np.uint16]
    unchanged: NDArray[np.int64]
    statistics: dict[str, NDArray[Any]]
    thumbnails: NDArray[np.uint8] | None

    @property
    def frames(self) -> int:
        """n."""
        return len(self.unchanged)

    @property
    def is_depth(self) -> bool:
        """Whether its frames are depths."""
        return self.shape[2] == 1


@dataclass(frozen=True, kw_only=True)
class FrameSpan:
    """An episode's part of a video.

    Args:
        episode: Its index.
        first: Number of its first frame in the file.
        length: How many frames there should be.
        thumbnails: Whether to keep some.
    """

    episode: int
    first: int
    length: int
    thumbnails: bool


class Thumbnailer:
    """Makes small images of frames. Kept from frame to frame: setting up a conversion takes longer than using it, and
    so do threads for images of this size."""

    def __init__(self) -> None:
        self._to_blocks, self._to_rgb = VideoReformatter(), VideoReformatter()

    def blocks(self, frame: av.VideoFrame) -> NDArray[np.int32]:
        """Mean grey level or depth of each block."""
        width, height = max(1, frame.width // BLOCK), max(1, frame.height // BLOCK)
        area = Interpolation.AREA
        form = DEPTH if has_one_channel(frame.format.name) else "gray"
        small = self._to_blocks.reformat(frame, width, height, form, interpolation=area, threads=1)
        return small.to_ndarray().astype(np.int32)

    def pixels(self, frame: av.VideoFrame) -> Pixels:
        """Every so many pixels, as many as statistics take. Raises PixelError."""
        step = max(1, max(frame.width, frame.height) // MAX_SIDE)
        if has_one_channel(frame.format.name):
            return from_frame(frame)[::step, ::step].copy()
        rgb = self._to_rgb.reformat(frame, format="rgb24", threads=1).to_ndarray()
        return rgb[::step, ::step].astype(np.uint8)


class FrameStats:
    """Takes an episode's frames in order and gives its `Footage`."""

    def __init__(self, span: FrameSpan, shrinker: Thumbnailer) -> None:
        self.span, self.count = span, 0
        self.misplaced: int | None = None
        self._shrinker = shrinker
        self._sample = set(sampled(max(1, span.length)).tolist())
        self._images: list[Pixels] = []
        self._numbers: list[tuple[int, int, int]] = []
        self._shape: tuple[int, ...] = ()
        self._since, self._reference = 0, np.empty(0, np.int32)

    def add(self, frame: av.VideoFrame, *, in_place: bool = True) -> None:
        """The next frame; `in_place`: at the time of its row."""
        if self.misplaced is None and not in_place:
            self.misplaced = self.count
        blocks = self._shrinker.blocks(frame)
        self._shape = shape_of(frame.height, frame.width, frame.format.name)
        unseen = 0 if self._shape[2] == 1 else CHANGE
        if not self.count or np.abs(blocks - self._reference).max() > unseen:
            self._since, self._reference = self.count, blocks
        self._numbers.append((int(blocks.min()), int(blocks.max()), self.count - self._since))
        if self.count in self._sample:
            self._images.append(self._shrinker.pixels(frame))
        self.count += 1

    def footage(self) -> Footage:
        """What the frames that were added show: at least one frame."""
        numbers, images = np.array(self._numbers), np.stack(self._images)
        shown = _visible(images[[0, len(images) // 2, -1]]) if self.span.thumbnails else None
        return Footage(
            shape=self._shape,
            misplaced=self.misplaced,
            darkest=numbers[:, 0].astype(np.uint16),
            brightest=numbers[:, 1].astype(np.uint16),
            unchanged=numbers[:, 2],
            statistics=image_statistics(images),
            thumbnails=shown,
        )


def _visible(images: Pixels) -> NDArray[np.uint8]:
    """(k, h, w, 3) to look at: depths as grey, the farthest white."""
    if images.dtype == np.uint8:
        return images.astype(np.uint8)
    grey = images * (255 / max(1, int(images.max())))
    return np.repeat(grey.astype(np.uint8), 3, axis=3)


def watch_video(path: Path, spans: Sequence[FrameSpan], *, fps: int) -> tuple[dict[int, Footage], ValueError | None]:
    """Decode a file once: episode -> footage; and what broke, then without the episodes that were cut short: a
    DatasetError, or a PixelError where this program cannot read what is whole.

    `spans` are in the order of `first`. A frame belongs to the last of them that begins no later.
    """
    shrinker, firsts = Thumbnailer(), [span.first for span in spans]
    watchers = [FrameStats(span, shrinker) for span in spans]
    broken = None
    try:
        for number, frame in enumerate(decoded(path)):
            time = number / fps if frame.time is None else frame.time
            watcher = watchers[max(0, bisect_right(firsts, round(time * fps)) - 1)]
            expected = (watcher.span.first + watcher.count) / fps
            watcher.add(frame, in_place=frame.time is not None and abs(frame.time - expected) <= TOLERANCE_S)
    except DatasetError as error:
        broken = error
    except PixelError as error:
        broken = PixelError(f"{path} {error}")
    seen = [w for w in watchers if w.count and not (broken and w.count < w.span.length)]
    return {watcher.span.episode: watcher.footage() for watcher in seen}, broken


def watch_images(images: Iterable[Pixels], span: FrameSpan) -> Footage:
    """What the images of an image feature show: at least one image."""
    watcher = FrameStats(span, Thumbnailer())
    for image in images:
        watcher.add(to_frame(image))
    return watcher.footage()
