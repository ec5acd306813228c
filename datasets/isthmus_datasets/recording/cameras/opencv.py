"""Cameras that OpenCV opens: USB and built-in ones, network streams, and video files that play as if they were one."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import cv2
import numpy as np

from isthmus_datasets.recording.cameras.camera import CameraImage, check_age
from isthmus_datasets.recording.robot import CameraError

_ONE_IMAGE = 1  # drivers queue some, and each is a period older than the next
_RATE_TOLERANCE = 0.05
_RETRY_S = 1.0
_CLOSE_S = 2.0
_PLUG = "check its cable and power; it goes on by itself when it is back"


class OpenCVCamera:
    """A thread reads every image and keeps the newest; its capture time is when the driver handed it over.

    A device that is unplugged and comes back is opened again. A file ends when it ends.

    Args:
        name: Name of the camera.
        source: Index such as 0, path such as "/dev/video0" (better: /dev/v4l/by-id/…, which stays), URL, or video file.
        width, height: Size of its images, px; None for what it gives by itself, as for the next two.
        fps: Images per second.
        pixel_format: Four characters; "MJPG" where a USB camera is slow at large sizes.
        max_age_s: `read` refuses an older image.

    Raises:
        CameraError: it cannot be opened, or does not give what was asked for; the message says what it gives.
    """

    def __init__(
        self,
        name: str,
        source: int | str | Path,
        *,
        width: int | None = None,
        height: int | None = None,
        fps: float | None = None,
        pixel_format: str | None = None,
        max_age_s: float = 0.5,
    ) -> None:
        self.name, self._source = name, source if isinstance(source, int) else str(source)
        self._wanted = {"width": width, "height": height, "fps": fps}
        self._pixel_format, self._max_age_s = pixel_format, max_age_s
        self._is_file = Path(str(source)).is_file()
        capture, self._image = self._open()
        self.shape: tuple[int, int] = self._image.pixels.shape[:2]
        self._problem = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(capture,), name=f"camera {name}", daemon=True)
        self._thread.start()

    def read(self) -> CameraImage:
        """The newest image."""
        if self._problem:
            raise CameraError(self.name, self._problem)
        if self._image.pixels.shape[:2] != self.shape:
            size = self._image.pixels.shape[:2]
            raise CameraError(self.name, f"{self._source} gives {size} now, but {self.shape} at first")
        return check_age(self.name, self._image, self._max_age_s, f"{self._source} has stalled: {_PLUG}")

    def close(self) -> None:
        """Stop reading. A driver that hangs keeps its thread, but not this one."""
        self._stop.set()
        self._thread.join(_CLOSE_S)

    def _open(self) -> tuple[cv2.VideoCapture, CameraImage]:
        capture = cv2.VideoCapture(self._source)
        try:
            if not capture.isOpened():
                raise CameraError(self.name, f"cannot open {self._source}: {self._others()}")
            self._ask(capture)
            image = self._next(capture)
            if image is None:
                raise CameraError(self.name, f"{self._source} opens, but gives no image: does another program use it?")
            self._check(capture, image)
        except CameraError:
            capture.release()
            raise
        return capture, image

    def _others(self) -> str:
        found = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
        return f"is it plugged in, and may you read it (group video)? Devices here: {found}"

    def _ask(self, capture: cv2.VideoCapture) -> None:
        if self._pixel_format:  # first: which sizes and rates there are depends on it
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*self._pixel_format))
        properties = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
        for number, value in zip(properties, self._wanted.values(), strict=True):
            if value is not None:
                capture.set(number, value)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, _ONE_IMAGE)

    def _check(self, capture: cv2.VideoCapture, image: CameraImage) -> None:
        height, width = image.pixels.shape[:2]
        given = {"width": width, "height": height, "fps": capture.get(cv2.CAP_PROP_FPS)}
        wrong = [
            f"{name} {given[name]:g} instead of {wanted:g}"
            for name, wanted in self._wanted.items()
            if wanted is not None and abs(given[name] - wanted) > (_RATE_TOLERANCE * wanted if name == "fps" else 0)
        ]
        if wrong:
            raise CameraError(
                self.name,
                f"{self._source} gives {', '.join(wrong)}: ask for what it has (v4l2-ctl --list-formats-ext), perhaps "
                "with pixel_format='MJPG'",
            )

    def _next(self, capture: cv2.VideoCapture) -> CameraImage | None:
        if not capture.grab():
            return None
        now_ns = time.monotonic_ns()
        decoded, bgr = capture.retrieve()
        if not decoded:
            return None
        return CameraImage(pixels=np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8), capture_time_ns=now_ns)

    def _serve(self, capture: cv2.VideoCapture | None) -> None:
        while capture is not None:
            self._read_all(capture)
            capture.release()
            capture = None if self._is_file else self._open_again()

    def _read_all(self, capture: cv2.VideoCapture) -> None:
        """Until there are no more images, or this camera is closed."""
        period_s = 1.0 / max(capture.get(cv2.CAP_PROP_FPS), 1.0) if self._is_file else 0.0  # devices pace themselves
        due_s = time.monotonic() + period_s
        while not self._stop.wait(max(0.0, due_s - time.monotonic()) if self._is_file else 0.0):
            image = self._next(capture)
            if image is None:
                self._problem = f"{self._source} has ended" if self._is_file else f"{self._source} is gone: {_PLUG}"
                return
            self._image, due_s = image, due_s + period_s

    def _open_again(self) -> cv2.VideoCapture | None:
        """None when this camera was closed before its device came back."""
        while not self._stop.wait(_RETRY_S):
            try:
                capture, self._image = self._open()
            except CameraError:
                continue
            self._problem = ""
            return capture
        return None
