"""What a robot knows of a camera."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.recording.robot import CameraError


@dataclass(frozen=True, kw_only=True, eq=False)
class CameraImage:
    """What a camera saw.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        capture_time_ns: When, by `time.monotonic_ns`; a simulated camera has its simulator's time.
    """

    pixels: NDArray[np.uint8]
    capture_time_ns: int


class Camera(Protocol):
    """A source of images of one size."""

    @property
    def name(self) -> str:
        """Such as "wrist"."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of every image."""
        ...

    def read(self) -> CameraImage:
        """The newest image, without waiting for another. Raises CameraError when the camera is gone, or the newest
        image is too old."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


def look(cameras: Mapping[str, Camera]) -> tuple[dict[str, NDArray[np.uint8]], dict[str, int]]:
    """Each camera's newest image (H, W, 3), and when it was taken: the two halves of an observation."""
    taken = {name: camera.read() for name, camera in cameras.items()}
    images = {name: image.pixels for name, image in taken.items()}
    return images, {name: image.capture_time_ns for name, image in taken.items()}


def check_age(camera: str, image: CameraImage, max_age_s: float, fix: str) -> CameraImage:
    """`image`, if it is not older than that. Raises CameraError with what to do about it."""
    age_s = (time.monotonic_ns() - image.capture_time_ns) * 1e-9
    if age_s > max_age_s:
        raise CameraError(camera, f"its newest image is {age_s:.2f} s old, {max_age_s:g} s are allowed: {fix}")
    return image
