"""Images as arrays and as FFmpeg's frames: RGB of 8 bits, or depths of 16."""

from __future__ import annotations

from typing import cast

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

Pixels = NDArray[np.uint8 | np.uint16]
"""One image: (H, W, 3) uint8 RGB, or (H, W, 1) uint16 depths; or several of them along a first axis."""

RGB, DEPTH = "rgb24", "gray16le"
_EXACT = ("gray16le", "gray16be")
_SCALING = Interpolation.AREA.value | 0x40000 | 0x2000 | 0x4000
"""swscale's SWS_AREA with SWS_ACCURATE_RND, SWS_FULL_CHR_H_INT and _INP: without these it is one grey level too dark. A
quarter of the time of scaling in RGB, and within a grey level of that."""


class PixelError(ValueError):
    """Pixels that cannot be had as they are asked for. The message goes on where a file's name ends."""


def is_depth(image: NDArray[np.generic]) -> bool:
    """Whether an image or the images of a camera (…, H, W, 1) are depths."""
    return image.dtype == np.uint16 and image.ndim > 2 and image.shape[-1] == 1


def has_one_channel(pix_fmt: str | None) -> bool:
    """Whether FFmpeg's pixel format holds depths, be they of 16 bits or coded into fewer."""
    return pix_fmt is not None and pix_fmt.startswith("gray") and pix_fmt not in ("gray", "gray8")


def shape_of(height: int, width: int, pix_fmt: str | None) -> tuple[int, int, int]:
    """(H, W, 1) of depths, (H, W, 3) of anything else, which is read as RGB."""
    return height, width, 1 if has_one_channel(pix_fmt) else 3


def to_frame(image: Pixels) -> av.VideoFrame:
    """An image as FFmpeg takes it, its values unchanged."""
    if is_depth(image):
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(image[..., 0], np.uint16), format=DEPTH)
    return av.VideoFrame.from_ndarray(cast(NDArray[np.uint8], np.ascontiguousarray(image)), format=RGB)


def from_frame(
    frame: av.VideoFrame, size: tuple[int, int] | None = None, converter: VideoReformatter | None = None
) -> Pixels:
    """The image of a frame. RGB is scaled to `size` (H, W), by the mean of what each pixel covers; a frame that has
    that size already is converted as everywhere else.

    Args:
        frame: As it was decoded.
        size: None for its own.
        converter: Whoever converts many frames of a video gives the same one each time: setting it up takes several
            times as long as a small image. It serves one thread.

    Raises:
        PixelError: depths are not of 16 bits: others have them coded, as LeRobot in 12, and not every depth has a code.
            Or they are to be scaled: a mean across an edge is a depth where nothing is.
    """
    if has_one_channel(frame.format.name):
        return _depths(frame, size)
    converter = converter or VideoReformatter()
    if size is None or size == (frame.height, frame.width):
        return np.asarray(converter.reformat(frame, format=RGB, threads=1).to_ndarray(), np.uint8)
    height, width = size
    small = converter.reformat(frame, width, height, RGB, interpolation=_SCALING, threads=1)
    return np.asarray(small.to_ndarray(), np.uint8)


def _depths(frame: av.VideoFrame, size: tuple[int, int] | None) -> NDArray[np.uint16]:
    if frame.format.name not in _EXACT:
        raise PixelError(f"has depths coded as {frame.format.name}, not as {DEPTH}: read them with what wrote them")
    if size not in (None, (frame.height, frame.width)):
        raise PixelError(f"has depths, which are not scaled: ask for {frame.width} × {frame.height}")
    return np.asarray(frame.to_ndarray(format=DEPTH), np.uint16)[..., None]
