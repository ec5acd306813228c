"""Cameras of simulated worlds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.recording.cameras.camera import CameraImage
from isthmus_datasets.recording.robot import CameraError


class SimulatedCamera:
    """Draws the world as it is whenever it is read.

    Args:
        name: Name of the camera.
        draw: The image now, (H, W, 3) uint8 RGB, always of one size; it is copied.
        clock: The simulator's time, ns.

    Raises:
        CameraError: what `draw` gives is no such image.
    """

    def __init__(self, name: str, draw: Callable[[], NDArray[np.uint8]], clock: Callable[[], int]) -> None:
        self.name, self._draw, self._clock = name, draw, clock
        first = draw()
        if first.ndim != 3 or first.shape[2] != 3 or first.dtype != np.uint8:
            raise CameraError(name, f"draws {first.dtype} {first.shape}, not uint8 (H, W, 3)")
        self.shape: tuple[int, int] = first.shape[:2]

    def read(self) -> CameraImage:
        """Raises CameraError when the image is of another size than the first."""
        image = self._draw()
        if image.shape != (*self.shape, 3):
            raise CameraError(self.name, f"draws {image.shape} now, but {(*self.shape, 3)} at first")
        return CameraImage(pixels=image.copy(), capture_time_ns=self._clock())

    def close(self) -> None:
        """Nothing is held."""
