"""Frames of chosen episodes, decoded once at training resolution into a file that processes map into their memory."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.training.decoder import Decoders, Job
from isthmus_datasets.training.frame_file import write_frames
from isthmus_datasets.training.frame_index import INDEX, FrameIndex, Part

_MANY = 8192  # frames of videos from which on processes decode: to start them takes as long as 5000 small ones
_log = logging.getLogger(__name__)


def default_folder(root: Path) -> Path:
    """Beside the dataset, which stays as LeRobot knows it: /data/.pusht.frames for /data/pusht."""
    root = root.resolve()
    return root.with_name(f".{root.name}.frames")


def folder_in(cache: Path, root: Path) -> Path:
    """A dataset's own folder in one that several share."""
    return cache / f"{root.resolve().name}-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8]}"


class FrameCache:
    """Frames of one camera of one dataset, (3, H, W) uint8 RGB.

    The file grows by whole episodes and changes in no other way, so that several processes may use and extend it at the
    same time; what a process had begun when it died is written over. An episode is known by its video's name, size and
    time of change: one whose video is another is decoded anew.

    Args:
        reader: The dataset.
        camera: A video or image feature.
        size: (H, W) of the frames; None for those that the dataset has.
        cache: A folder for the caches of any datasets; None for one beside the dataset.
        limit: Bytes that the file may have; None for what the disk has.

    Raises:
        DatasetError: there is no such camera, it has depths, or what is in the folder is of another dataset, camera or
            resolution.
    """

    def __init__(
        self,
        reader: DatasetReader,
        camera: str,
        *,
        size: tuple[int, int] | None = None,
        cache: Path | None = None,
        limit: int | None = None,
    ) -> None:
        cameras = [name for name, feature in reader.info.features.items() if feature.is_image]
        if camera not in cameras:
            raise DatasetError(f"{reader.root} has no camera {camera!r}; there is {', '.join(cameras) or 'none'}")
        if reader.info.features[camera].is_depth:
            raise DatasetError(f"{reader.root}: {camera!r} has depths, and only RGB is trained on: leave it out")
        height, width, _ = reader.info.features[camera].shape
        self.size = size or (height, width)
        self._camera, self._limit, self._bytes = camera, limit, 3 * self.size[0] * self.size[1]
        self._about = {"dataset": reader.root.resolve().name, "camera": camera, "shape": [3, *self.size]}
        folder = default_folder(reader.root) if cache is None else folder_in(cache, reader.root)
        self._folder = folder / camera / f"{self.size[0]}x{self.size[1]}"
        self._index = self._read_index()
        self._frames: NDArray[np.uint8] | None = None

    def prepare(self, reader: DatasetReader, episodes: Sequence[int], *, workers: int = 1) -> None:
        """Decode those that are not there yet. Of processes that ask at the same time one decodes and the others wait.

        Args:
            reader: The dataset as it is now.
            episodes: Which.
            workers: Threads, or processes where there is much, that decode.

        Raises:
            DatasetError: a video is missing, damaged, lacks frames, has them in another shape than declared, or changes
                meanwhile (the message names file and episode); or they do not fit into the limit.
            OSError: the file cannot be written, such as on a full disk; the message says where and how much.
        """
        parts = {index: _part(reader, self._camera, index) for index in episodes}
        self._index = self._read_index()
        if parts.keys() and not set(parts.values()) <= self._index.starts.keys():
            with self._naming(sum(part[-1] for part in parts.values())):
                self._folder.mkdir(parents=True, exist_ok=True)
                with _alone(self._folder / ".lock") as lock:
                    self._fill(reader, parts, lock, workers)
        self._index.settle(self._folder)
        self._frames = self._mapped()

    def start(self, reader: DatasetReader, episode: int) -> int:
        """Number of the episode's first frame in `frames`; it was prepared."""
        return self._index.starts[_part(reader, self._camera, episode)]

    @property
    def frames(self) -> NDArray[np.uint8]:
        """(n, 3, H, W), read-only, fetched from the disk as needed."""
        if self._frames is None:
            self._frames = self._mapped()
        return self._frames

    def _mapped(self) -> NDArray[np.uint8]:
        shape = (self._index.end, 3, *self.size)
        if not self._index.end:
            return np.empty(shape, np.uint8)
        return np.asarray(np.memmap(self._folder / self._index.data, np.uint8, "r", shape=shape))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_frames": None}  # another process maps the file itself

    def _read_index(self) -> FrameIndex:
        return FrameIndex.read(self._folder, self._about, self._bytes)

    def _fill(self, reader: DatasetReader, parts: dict[int, Part], lock: int, workers: int) -> None:
        """Append what is missing; nobody else does meanwhile."""
        self._index, self._frames = self._read_index(), None
        missing = {index: part for index, part in parts.items() if part not in self._index.starts}
        if not missing:
            return  # another process has done it meanwhile
        needed = sum(part[-1] for part in missing.values())
        if self._too_large(needed):
            self._keep(set(parts.values()))
        if self._too_large(needed):
            raise DatasetError(
                f"{reader.root}: {self._camera!r} of {len(parts)} episodes takes "
                f"{(self._index.end + needed) * self._bytes / 1e9:.3g} GB at {self.size[0]} × {self.size[1]}, the "
                f"limit is {(self._limit or 0) / 1e9:.3g} GB: choose fewer episodes, a smaller size or a higher limit"
            )
        begun, path = time.perf_counter(), self._folder / self._index.data
        if not (self._folder / INDEX).exists():
            self._index.replace(self._folder, self._about)
        with path.open("r+b" if path.exists() else "w+b") as file:
            # a full disk says so now
            os.posix_fallocate(file.fileno(), self._index.end * self._bytes, needed * self._bytes)
            self._decode(reader, missing, file.fileno(), lock, workers)
        seconds = time.perf_counter() - begun
        _log.info("%s: %d frames decoded in %.1f s", self._camera, needed, seconds)

    def _too_large(self, more: int) -> bool:
        return self._limit is not None and (self._index.end + more) * self._bytes > self._limit

    def _decode(self, reader: DatasetReader, missing: dict[int, Part], file: int, lock: int, workers: int) -> None:
        """Several episodes at a time, each to its own place, into the index as they are done."""
        starts = self._index.end + np.cumsum([0, *(part[-1] for part in missing.values())])[:-1]
        with self._writing(reader, missing, file, lock, workers) as write:
            pool = ThreadPoolExecutor(workers)
            try:
                decoding = [
                    pool.submit(self._unchanged, reader, index, part, int(start), write)
                    for (index, part), start in zip(missing.items(), starts, strict=True)
                ]
                self._collect(decoding)
            finally:
                pool.shutdown(cancel_futures=True)

    @contextmanager
    def _writing(
        self, reader: DatasetReader, missing: dict[int, Part], file: int, lock: int, workers: int
    ) -> Iterator[Callable[[int, int], None]]:
        """What writes an episode's frames from a place on: its caller's thread, or a process where there is much."""
        if not reader.info.features[self._camera].is_video or sum(part[-1] for part in missing.values()) < _MANY:
            yield lambda index, start: write_frames(
                reader.stream(index, self._camera, size=self.size), self.size, file, start
            )
            return
        with Decoders(workers, file, lock) as decoders:
            yield lambda index, start: decoders.run(self._job(reader, index, start))

    def _job(self, reader: DatasetReader, index: int, start: int) -> Job:
        video, first = reader.video_start(index, self._camera)
        return Job(
            episode=f"{reader.root}: episode {index}",
            video=str(video),
            first=first,
            count=reader.episodes[index].length,
            fps=reader.info.fps,
            shape=reader.info.features[self._camera].shape,
            size=self.size,
            place=start,
        )

    def _collect(self, decoding: list[Future[tuple[Part, int]]]) -> None:
        """Into the index as they come, so that a process that is killed loses only what it was at."""
        with (self._folder / INDEX).open("a+b") as index:  # whoever settles frames appends as well
            index.seek(0)
            index.truncate(index.read().rfind(b"\n") + 1)  # a line that a crash has torn
            for each in decoding:
                self._index.add(index, *each.result())

    def _unchanged(
        self, reader: DatasetReader, index: int, part: Part, start: int, write: Callable[[int, int], None]
    ) -> tuple[Part, int]:
        """One episode's frames into the file, of a video that stays what it is."""
        write(index, start)
        if _part(reader, self._camera, index) != part:
            raise DatasetError(
                f"{reader.root}: episode {index}: the video of {self._camera!r} changed while it was decoded: try again"
            )
        return part, start

    def _keep(self, wanted: set[Part]) -> None:
        """Copy the wanted episodes to another file, and let go of the others. Who has the old file mapped keeps it."""
        kept = {part: start for part, start in self._index.starts.items() if part in wanted}
        old, number = self._folder / self._index.data, int(self._index.data.split("-")[1].split(".")[0])
        new = FrameIndex(data=f"frames-{number + 1}.u8")
        with (self._folder / new.data).open("wb") as file:
            for part, start in kept.items():
                new.starts[part] = file.tell() // self._bytes
                file.write(self.frames[start : start + part[-1]].data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._folder, self._about)
        self._index, self._frames = new, None
        old.unlink(missing_ok=True)

    @contextmanager
    def _naming(self, frames: int) -> Iterator[None]:
        """Name the place and what is needed when it cannot be written."""
        try:
            yield
        except OSError as error:
            there = next(each for each in self._folder.parents if each.exists())
            problem = (
                f"could not write {frames * self._bytes / 1e9:.3g} GB of decoded frames to {self._folder} "
                f"({error.strerror}); the disk has {shutil.disk_usage(there).free / 1e9:.3g} GB free: free some, or "
                "give another folder for the cache"
            )
            raise OSError(error.errno, problem) from error


def _part(reader: DatasetReader, camera: str, index: int) -> Part:
    info, row = reader.info, reader.episodes[index]
    if info.features[camera].is_video:
        place = row.videos[camera]
        file, first = info.video_file(camera, place.chunk, place.file), round(place.start_s * info.fps)
    else:
        file, first = info.data_file(row.chunk, row.file), row.first
    path = reader.root / file
    if not path.is_file():
        raise DatasetError(f"{path} is missing: copy the dataset again, or delete episode {row.index}")
    facts = path.stat()
    return str(file), facts.st_size, facts.st_mtime_ns, first, row.length


@contextmanager
def _alone(path: Path) -> Iterator[int]:
    """One process at a time is in the block; the lock ends with it, and with whom it has lent the open file."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
