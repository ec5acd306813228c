"""How a camera's images can be stored: with loss as H.264, without loss, or as depths."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.info import DatasetError

DEPTH_INFO = {
    "is_depth_map": True,
    "depth_unit": "mm",
    "video.depth_min": 0.0,
    "video.depth_max": 65.52,
    "video.shift": 0.0,
    "video.use_log": False,
}
"""What info.json says of depths in uint16 mm. `depth_unit` is the unit of pixels and statistics, as LeRobot has it
since its pull request 3899. LeRobot reads 12 bits, code 0 as depth_min and 4095 as depth_max (3644): FFmpeg makes a
code for 16 mm of these, and so LeRobot reads them roughly rather than wrongly."""
LOSSLESS_INFO = {"video.pix_fmt": "gbrp"}
"""What info.json says of RGB without loss: the pixel format, which H.264 otherwise has as yuv420p."""


def depth_camera(height: int, width: int, *, dtype: str = "video") -> Feature:
    """A camera of depths in mm along its optical axis, (H, W, 1) uint16; 0 where there is no reading, as in ROS's
    REP 118. They stay exact in a "video" and in an "image"."""
    return Feature(dtype=dtype, shape=(height, width, 1), info=DEPTH_INFO)


def without_loss(features: Features, cameras: Collection[str]) -> Features:
    """The same, `cameras` of them to be stored without loss. Raises DatasetError for one that is no video."""
    videos = [name for name, feature in features.items() if feature.is_video]
    unknown = sorted(set(cameras) - set(videos))
    if unknown:
        known = ", ".join(videos) or "none"
        raise DatasetError(f"there is no camera {', '.join(unknown)} to store without loss; there is {known}")
    chosen = {name for name in cameras if not features[name].is_depth}
    return {name: replace(f, info=LOSSLESS_INFO) if name in chosen else f for name, f in features.items()}
