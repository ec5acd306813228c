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
class Picture:
    """What a camera saw.

    Args:
        image: (H, W, 3) uint8 RGB.
        capture_time_ns: When, by `time.monotonic_ns`; a simulated camera has its simulator's time.
    """

    image: NDArray[np.uint8]
    capture_time_ns: int


class Camera(Protocol):
    """A source of pictures of one size."""

    @property
    def name(self) -> str:
        """Such as "wrist"."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of every picture."""
        ...

    def read(self) -> Picture:
        """The newest picture, without waiting for another. Raises CameraError when the camera is gone, or the newest
        picture is too old."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


def look(cameras: Mapping[str, Camera]) -> tuple[dict[str, NDArray[np.uint8]], dict[str, int]]:
    """Each camera's newest picture (H, W, 3), and when it was taken: the two halves of an observation."""
    taken = {name: camera.read() for name, camera in cameras.items()}
    pictures = {name: picture.image for name, picture in taken.items()}
    return pictures, {name: picture.capture_time_ns for name, picture in taken.items()}


def check_age(camera: str, picture: Picture, max_age_s: float, fix: str) -> Picture:
    """`picture`, if it is not older than that. Raises CameraError with what to do about it."""
    age_s = (time.monotonic_ns() - picture.capture_time_ns) * 1e-9
    if age_s > max_age_s:
        raise CameraError(camera, f"its newest picture is {age_s:.2f} s old, {max_age_s:g} s are allowed: {fix}")
    return picture
