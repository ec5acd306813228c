"""The videos of an episode in progress."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType

from isthmus_datasets.format.files import make_folder
from isthmus_datasets.format.images.video import Frame
from isthmus_datasets.recording.encoding.video_process import VideoProcess

RING_S = 2.0
"""How much video may wait to be encoded."""


class EpisodeVideos:
    """One process for each camera, started at once, and a folder for what they write; a context manager.

    Args:
        folder: Where the episodes in progress are; made when it is needed, gone at the end.
        shapes: camera -> (H, W, 3).
        fps: Images per second.
        lossless: Cameras whose videos are without loss.

    Raises:
        OSError: a process cannot be started.
    """

    def __init__(
        self, folder: Path, shapes: Mapping[str, tuple[int, int, int]], *, fps: int, lossless: Collection[str] = ()
    ) -> None:
        self._folder, self._shapes, self._fps, self._lossless = folder, shapes, fps, lossless
        self.episode: Path | None = None
        """The folder of the episode in progress."""
        self.processes = {camera: self._start(camera) for camera in shapes}
        """camera -> its process."""

    def begin(self) -> None:
        """Start an episode's videos. A process that has died is replaced.

        Raises:
            VideoError: a process has just died.
            OSError: the folder cannot be made, or a process cannot be started.
        """
        make_folder(self._folder)
        self.episode = Path(tempfile.mkdtemp(dir=self._folder))
        for camera, process in self.processes.items():
            if not process.alive:
                process.close()
                self.processes[camera] = self._start(camera)
            self.processes[camera].begin(self.episode / f"{camera}.mp4")

    def _start(self, camera: str) -> VideoProcess:
        slots, lossless = max(2, round(RING_S * self._fps)), camera in self._lossless
        return VideoProcess(self._shapes[camera], fps=self._fps, slots=slots, lossless=lossless)

    def write(self, images: Mapping[str, Frame]) -> None:
        """One image of every camera. Waits for room; raises VideoError."""
        for camera, process in self.processes.items():
            process.write(images[camera])

    def take_back(self) -> dict[str, Frame]:
        """The newest image of every camera, which is not in its video then. Once, and only after `write`."""
        return {camera: process.take_back() for camera, process in self.processes.items()}

    def finish(self) -> dict[str, Path]:
        """camera -> the file, complete; there until the next `clear`. Raises VideoError."""
        for process in self.processes.values():
            process.finish()
        return {camera: Path(f"{self.episode}/{camera}.mp4") for camera in self._shapes}

    def clear(self) -> None:
        """Forget the episode: nothing of it is left."""
        for process in self.processes.values():
            process.abandon()
        if self.episode:
            shutil.rmtree(self.episode, ignore_errors=True)
            self.episode = None

    def close(self) -> None:
        """End the processes."""
        self.clear()
        for process in self.processes.values():
            process.close()
        self.processes.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> EpisodeVideos:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
